// How the page looks, is operated, and bears what is sent to it: porthole's document, with figures of a fixture.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from '../clients/node_tap.mjs';
import { openPage, sum, traceTasks, untilText } from './web_browser.mjs';
import { findWeak } from './web_contrast.mjs';
import { startFake } from './web_rig.mjs';

const pictures = process.env.WEB_PICTURES;
mkdirSync(pictures, { recursive: true });

async function untilFilled(page) {
    await untilText(page, '#state', /^ready$/);
    await untilText(page, '#tile-rate', /\d.*\/s/);
    await page.waitForFunction(() => document.querySelectorAll('#live-table tbody tr').length > 10);
}

for (const theme of ['light', 'dark']) {
    test(`page: in the ${theme} theme every text has its contrast, wide and on a phone, where nothing is cut off`, async (t) => {
        const fake = await startFake(t);
        for (const [width, height] of [[1400, 900], [360, 740]]) {
            const page = await openPage(t, fake.base, { width, height, theme });
            await untilFilled(page);
            await sleep(3000); // for some points of the lines
            const { n, weak } = await page.evaluate(findWeak);
            assert.deepEqual(weak, []);
            assert.ok(n > 150, `only ${n} colours were seen`);
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
            await page.screenshot({ path: join(pictures, `page-${width}-${theme}.png`), fullPage: true });
        }
    }, 120);
}

test('page: all that /status and /clients say is there, and what a peer sends is text', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base);
    await untilFilled(page);
    const text = await page.evaluate(() => document.body.innerText);
    for (const wanted of ['docker', 'unix:/run/porthole/docker.sock', '0660', '0:3000', 'uid 1000, gid 3000', 'of 1024', '→ docker', 'create',
                          'ejected', '5 failures in a row: 502', 'down', '/v1.44/events', '/etc/porthole/porthole.json', 'tunnel'])
        assert.ok(text.includes(wanted), `${wanted} is missing`);
    assert.ok(text.includes('<img src=x onerror=alert(1)>'));
    assert.equal(await page.locator('img').count(), 0);
    assert.match(fake.head['content-security-policy'], /default-src 'none'; script-src 'sha256-[^']{44}'; style-src 'sha256-[^']{44}'; connect-src 'self'/);
    assert.doesNotMatch(fake.head['content-security-policy'], /unsafe|\*/);
    assert.doesNotMatch(fake.body, /\son[a-z]+=["']|\sstyle=|javascript:|<script src|<link rel="stylesheet"|@import|url\(/);
}, 120);

test('page: a reload that failed is told with its errors, and figures go on', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base);
    await untilFilled(page);
    assert.equal(await page.locator('#reload-errors').isVisible(), false);
    fake.edit = (told) => {
        told.config.reload = { state: 'failed', at: told.started, errors: ['porthole.json:3:5: /listeners: <b>expected</b> an array'], total: 5 };
        told.reasons = ['listener docker is not at its place'];
        told.ready = false;
        return told;
    };
    await untilText(page, '#reload-errors pre', /<b>expected<\/b> an array/);
    await untilText(page, '#state', /^not ready$/);
    await untilText(page, '#reasons', /listener docker/);
    const routes = await page.textContent('#routes-table');
    await page.waitForFunction((old) => document.querySelector('#routes-table').textContent !== old, routes);
    await page.screenshot({ path: join(pictures, 'page-1400-failed.png'), fullPage: true });
    const { weak } = await page.evaluate(findWeak);
    assert.deepEqual(weak, []);
}, 120);

test('page: a porthole that does not answer is told, what was known stays, and it comes back', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base, { forgive: /ERR_(EMPTY_RESPONSE|CONNECTION)/ });
    await untilFilled(page);
    fake.down = true;
    await untilText(page, '#trouble', /porthole does not answer/);
    assert.ok(await page.locator('#routes-table tbody tr').count() > 3);
    fake.down = false;
    await untilText(page, '#state', /^ready$/);
    await page.waitForFunction(() => document.querySelector('#trouble').hidden);
}, 120);

async function focused(page) {
    return page.evaluate(() => {
        const at = document.activeElement, style = getComputedStyle(at);
        return { id: at.id, name: at.nodeName, text: at.textContent.slice(0, 40), seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
    });
}

async function tabTo(page, id) {
    const seen = [];
    for (let i = 0; i < 200; i++) {
        await page.keyboard.press('Tab');
        const at = await focused(page);
        assert.ok(at.name === 'BODY' || at.seen, `where the focus is cannot be seen: ${at.name} ${at.id}`);
        seen.push(at.id || at.text);
        if (at.id === id)
            return seen;
    }
    throw new Error(`#${id} cannot be reached: ${seen.join(', ')}`);
}

test('page: a keyboard is enough', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base);
    await untilFilled(page);
    await page.keyboard.press('Tab');
    assert.equal((await focused(page)).text, 'Skip to content');
    await page.keyboard.press('Enter');
    assert.equal((await focused(page)).id, 'content');
    await tabTo(page, 'routes-filter');
    await page.keyboard.type('create');
    await page.waitForFunction(() => document.querySelectorAll('#routes-table tbody tr').length === 1);
    await tabTo(page, 'live-filter');
    await page.keyboard.type('post -start');
    await page.waitForFunction(() => [...document.querySelectorAll('#live-table tbody tr')].every((row) => /POST .*create/.test(row.textContent)));
    await tabTo(page, 'live-status');
    await page.keyboard.press('5');
    await untilText(page, '#live-table .empty', /Nothing has ended/);
    await page.keyboard.press('Home');
    await tabTo(page, 'live-pause');
    await page.keyboard.press('Space');
    await untilText(page, '#live-count', /paused/);
    await tabTo(page, 'live-clear');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Space');
    await page.waitForFunction(() => document.querySelectorAll('#live-table tbody tr').length > 1);
    await tabTo(page, 'live-clear');
    await tabTo(page, 'live-table');
    await page.keyboard.press('Tab');
    assert.equal((await focused(page)).name, 'BUTTON');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#detail').open);
    await untilText(page, '#detail-facts', /containers\/create/);
    await page.screenshot({ path: join(pictures, 'page-1400-detail.png') });
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('#detail').open);
    assert.equal((await focused(page)).name, 'BUTTON');
}, 120);

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

// Adds what happens in so long while so many exchanges a second are sent, all in ms: the page's frames, how long keys waited
// for its thread, the processor time of its tasks, and how long it was watched.
async function watchFor(page, ms, fake, per_second, seen) {
    seen.tasks.push(...await traceTasks(page, async () => {
        fake.per_second = per_second;
        await sleep(200);
        await page.evaluate(() => {
            window.gaps.length = 0;
            window.waits.length = 0;
        });
        const begun = performance.now(), before = fake.n_sent;
        for (let n = 0; n < 5 || performance.now() - begun < ms; n++) {
            await page.keyboard.press('Shift');
            await sleep(50);
        }
        const { gaps, waits } = await page.evaluate(() => ({ gaps: window.gaps, waits: window.waits }));
        seen.gaps.push(...gaps);
        seen.waits.push(...waits);
        seen.ms += performance.now() - begun;
        seen.n += fake.n_sent - before;
        fake.per_second = 0;
    }));
}

// Others have the processors, too. What is bounded is the time that the page's own thread works, which does not depend on
// them; what a reader sees, frames and keys, is measured beside the same page when next to nothing happens.
test('page: ten thousand exchanges a second do not freeze it', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base);
    await untilFilled(page);
    await page.evaluate(() => {
        window.gaps = [];
        window.waits = [];
        let last = performance.now();
        const step = (now) => {
            window.gaps.push(now - last);
            last = now;
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
        addEventListener('keydown', (event) => window.waits.push(performance.now() - event.timeStamp));
    });
    const idle = { tasks: [], gaps: [], waits: [], ms: 0, n: 0 }, flood = structuredClone(idle);
    for (const [phase, per_second] of [[idle, 10], [flood, 10000], [idle, 10], [flood, 10000]])
        await watchFor(page, 2500, fake, per_second, phase);
    await page.click('#live-pause');
    await untilText(page, '#live-count', /paused/);
    const { rows, held } = await page.evaluate(() => ({
        rows: document.querySelectorAll('#live-table tbody tr').length, held: live.ring.length + live.lines.length }));
    // In the end each one was seen, or is told of as lost or not looked at.
    let n_seen = 0;
    for (let i = 0; i < 1000 && n_seen < fake.n_sent; i++) {
        // Not in small portions for each frame, of which there may be one a second.
        n_seen = await page.evaluate(() => {
            LIVE.portion_ms = 500;
            takeSome();
            return live.n + live.lost + live.dropped;
        });
        await sleep(10);
    }
    const rate = flood.n / flood.ms * 1000, share = sum(flood.tasks) / flood.ms, longest = Math.max(...flood.tasks);
    t.note(`${Math.round(rate)} exchanges a second, ${n_seen} of ${fake.n_sent} are accounted for`);
    for (const [name, phase] of [['idle', idle], ['flood', flood]])
        t.note(`${name}: ${(100 * sum(phase.tasks) / phase.ms).toFixed(0)} % of a processor, longest task ` +
               `${Math.max(...phase.tasks).toFixed(0)} ms; ${phase.gaps.length} frames, the median after ` +
               `${median(phase.gaps).toFixed(0)} ms; ${phase.waits.length} keys, the median after ${median(phase.waits).toFixed(0)} ms`);
    assert.ok(rate > 5000, 'the test did not send enough');
    assert.equal(n_seen, fake.n_sent);
    assert.ok(rows <= 60 && held < 90000, `${rows} rows, ${held} records are kept`);
    assert.ok(share < 0.5, 'the page has no time for anything else');
    assert.ok(longest < 200, 'a task holds up everything else');
    assert.ok(median(flood.gaps) < 4 * median(idle.gaps) + 250, 'frames are slow');
    assert.ok(median(flood.waits) < 4 * median(idle.waits) + 500, 'keys wait');
}, 180);
