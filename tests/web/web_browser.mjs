// One chromium for all tests, and what a test sees of the page: its complaints, and whom it asks.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { chromium } = createRequire(join(process.env.WEB_MODULES, 'package.json'))('playwright-core');
let browser = null;

async function getBrowser() {
    browser ??= await chromium.launch({
        executablePath: process.env.CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server', '--disable-background-networking'],
    });
    return browser;
}

export async function closeBrowser() {
    await browser?.close();
}

// Opens the page at `base`; at the end of the test nothing may have gone wrong in it, but for what `forgive` matches.
export async function openPage(t, base, { width = 1400, height = 900, theme = 'light', forgive = null } = {}) {
    const context = await (await getBrowser()).newContext({
        viewport: { width, height }, colorScheme: theme, locale: 'en-GB', timezoneId: 'UTC', hasTouch: width < 600,
    });
    const page = await context.newPage();
    const complaints = [];
    const complain = (text) => {
        if (!forgive?.test(text))
            complaints.push(text);
    };
    page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type()))
            complain(`console: ${message.text()} ${message.location()?.url ?? ''}`);
    });
    page.on('pageerror', (error) => complain(`error: ${error.stack ?? error}`));
    page.on('request', (request) => {
        if (!request.url().startsWith(`${base}/`) && !request.url().startsWith('data:'))
            complain(`it asks ${request.url()}`);
    });
    t.defer(async () => {
        await context.close();
        assert.deepEqual(complaints, []);
    });
    const answer = await page.goto(`${base}/`, { waitUntil: 'domcontentloaded' });
    assert.equal(answer.status(), 200);
    return page;
}

// Chromium's own network panel with an archive opened in it, and what its importer makes of each entry: { url, method, status, bytes,
// sent, content, base64 }, the last two as the panel has them. NULL when this chromium's front end is put together otherwise.
export async function openArchive(t, text) {
    const context = await (await getBrowser()).newContext({ viewport: { width: 1400, height: 900 } });
    const page = await context.newPage();
    t.defer(() => context.close());
    await page.goto('devtools://devtools/bundled/inspector.html');
    const parts = await page.evaluate(async () => {
        const names = ['models/har/har.js', 'ui/legacy/legacy.js', 'panels/network/network.js'];
        const loaded = await Promise.all(names.map((name) => import(`devtools://devtools/bundled/${name}`))).catch(() => []);
        [globalThis.har, globalThis.ui, globalThis.network] = loaded;
        return loaded.length;
    });
    if (parts === 0)
        return null;
    const entries = await page.evaluate(async (archive) => {
        const root = new globalThis.har.HARFormat.HARRoot(JSON.parse(archive));
        await globalThis.ui.ViewManager.ViewManager.instance().showView('network');
        await globalThis.network.NetworkPanel.NetworkPanel.instance().networkLogView.onLoadFromFile(new File([archive], 'archive.har'));
        return Promise.all(globalThis.har.Importer.Importer.requestsFromHARLog(root.log).map(async (request) => {
            const content = await request.requestContentData();
            return { url: request.url(), method: request.requestMethod, status: request.statusCode,
                     bytes: request.resourceSize, sent: await request.requestFormData(),
                     content: content.isTextContent ? content.text : null, base64: content.isTextContent ? null : content.base64 };
        }));
    }, text);
    return { page, entries };
}

// What the page's thread has done while `work` ran: the processor time of each of its tasks, in ms, the shortest first. It
// is not the time that others had the processor.
export async function traceTasks(page, work) {
    await browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
    await work();
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
    const threads = traceEvents.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain');
    const tasks = threads.map(({ pid, tid }) => traceEvents
        .filter((event) => event.pid === pid && event.tid === tid && /RunTask$/.test(event.name) && event.tdur !== undefined)
        .map((event) => event.tdur / 1000).sort((a, b) => a - b));
    // That of a page that nobody looks at has next to none.
    return tasks.reduce((most, other) => (sum(other) > sum(most) ? other : most), []);
}

export function sum(numbers) {
    return numbers.reduce((a, b) => a + b, 0);
}

// Waits for the text of a selector to match.
export async function untilText(page, selector, pattern, seconds = 30) {
    await page.waitForFunction(([where, source]) => new RegExp(source).test(document.querySelector(where)?.textContent ?? ''),
                               [selector, pattern.source], { timeout: seconds * 1000 });
}
