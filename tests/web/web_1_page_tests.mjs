// How the page looks, is operated, and bears what is sent to it: porthole's document, with figures of a fixture.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from '../clients/node_tap.mjs';
import { openPage, untilText } from './web_browser.mjs';
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

test('page: ten thousand exchanges a second do not freeze it', async (t) => {
    const fake = await startFake(t);
    const page = await openPage(t, fake.base);
    await untilFilled(page);
    await page.evaluate(() => {
        window.gaps = [];
        let last = performance.now();
        const step = (now) => {
            window.gaps.push(now - last);
            last = now;
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    });
    const before = fake.n_sent, begun = performance.now();
    fake.per_second = 10000;
    await sleep(5000);
    const asked = performance.now();
    await page.click('#live-pause');
    await untilText(page, '#live-count', /paused/);
    const took = performance.now() - asked;
    const rate = (fake.n_sent - before) / ((performance.now() - begun) / 1000);
    const { gaps, rows, held } = await page.evaluate(() => ({
        gaps: window.gaps.sort((a, b) => a - b), rows: document.querySelectorAll('#live-table tbody tr').length,
        held: live.ring.length + live.lines.length }));
    // In the end each one was seen, or is told of as lost or not looked at.
    fake.per_second = 10;
    await sleep(500);
    fake.per_second = 0;
    await sleep(100);
    const sent = fake.n_sent;
    await page.waitForFunction((n) => live.n + live.lost + live.dropped >= n, sent, { timeout: 60000 });
    const seen = await page.evaluate(() => live.n + live.lost + live.dropped);
    t.note(`${Math.round(rate)} exchanges a second, ${seen} of ${sent} are accounted for`);
    t.note(`frames: ${gaps.length}, median ${gaps[gaps.length >> 1].toFixed(0)} ms, 99 of 100 below ${gaps[Math.floor(gaps.length * 0.99)].toFixed(0)} ms, ` +
           `longest ${gaps.at(-1).toFixed(0)} ms; a click took ${took.toFixed(0)} ms`);
    assert.ok(rate > 2000, 'the test did not send enough');
    assert.equal(seen, sent);
    assert.ok(rows <= 60 && held < 90000, `${rows} rows, ${held} records are kept`);
    // Wide, since other tests have the processors, too.
    assert.ok(gaps[gaps.length >> 1] < 1000, 'frames are slow');
    assert.ok(gaps.at(-1) < 4000, 'it stood still');
    assert.ok(took < 15000, 'a click waits');
}, 120);
