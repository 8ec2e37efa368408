// What porthole tap --har writes, opened in the network panel of chromium.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Skip, test } from '../clients/node_tap.mjs';
import { openArchive } from './web_browser.mjs';
import { startPorthole } from './web_rig.mjs';

const N = 200;
const KINDS = [
    { type: 'text/plain; charset=utf-8', body: Buffer.from('text \u20ac \u{1f600}\r\n') },
    { type: 'application/json', body: Buffer.from('{"a":[1,2,{"b":null}]}') },
    { type: 'image/png', body: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) },
    { type: 'application/octet-stream', body: Buffer.alloc(3, 0xff) },
    { type: 'text/html', body: Buffer.from('<script>alert(1)</script>') },
    { type: 'text/plain', body: Buffer.alloc(0) },
];

// The target that porthole has: it answers by number, and echoes what it was sent.
async function startTarget(t) {
    const server = http.createServer((request, answer) => {
        const number = Number(request.url.match(/(\d+)/)[1]), kind = KINDS[number % KINDS.length], pieces = [];
        request.on('data', (piece) => pieces.push(piece));
        request.on('end', () => {
            answer.writeHead(number % 50 === 49 ? 404 : 200, { 'Content-Type': kind.type });
            answer.end(request.method === 'POST' ? Buffer.concat(pieces) : kind.body);
        });
    }).listen(t.path('absent.sock'));
    await once(server, 'listening');
    t.defer(() => server.close());
}

function ask(socketPath, path, body) {
    return new Promise((resolve, reject) => {
        const headers = body ? { 'Content-Type': 'text/plain', 'Cookie': 'planted=1', 'Content-Length': body.length } : {};
        const request = http.request({ socketPath, path, method: body ? 'POST' : 'GET', headers, agent: false }, (answer) => {
            answer.resume();
            answer.on('end', () => resolve(answer.statusCode));
        });
        request.on('error', reject);
        request.end(body);
    });
}

async function startTap(t, base, file) {
    const child = spawn(process.env.PORTHOLE, ['tap', base, '--har', file, '--count', String(N)], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (data) => { errors += data; });
    t.evidence.push(() => errors);
    t.defer(() => child.kill());
    const exit = once(child, 'exit');
    for (;;) { // until it listens: it is under way, beside what asks here
        const told = await (await fetch(`${base}/status`)).json();
        if (told.listeners.find((one) => one.kind === 'admin').in_flight >= 2)
            return { exit };
        assert.equal(child.exitCode, null);
        await sleep(50);
    }
}

// What the panel has of exchange i.
function expected(i) {
    const kind = KINDS[i % KINDS.length], posted = i % 3 === 0, body = posted ? Buffer.from(`sent ${i}`) : kind.body;
    return { url: `http://localhost/gone/${i}?a=1&b=%20`, method: posted ? 'POST' : 'GET', status: i % 50 === 49 ? 404 : 200, bytes: body.length,
             sent: posted ? `sent ${i}` : null, body: body.toString('base64') };
}

test('archive: two hundred exchanges open in the network panel of chromium, with their bodies', async (t) => {
    const porthole = await startPorthole(t), file = join(t.dir, 'all.har');
    await startTarget(t);
    const tap = await startTap(t, porthole.base, file);
    for (let i = 0; i < N; i++)
        await ask(porthole.socket, `/gone/${i}?a=1&b=%20`, i % 3 === 0 ? Buffer.from(`sent ${i}`) : null);
    assert.deepEqual(await tap.exit, [0, null]);
    const archive = await openArchive(t, readFileSync(file, 'utf8'));
    if (!archive)
        throw new Skip('the front end of this chromium has no such parts');
    const { page, entries } = archive;
    assert.equal(entries.length, N);
    for (let i = 0; i < N; i++) {
        const { url, method, status, bytes, sent, content, base64 } = entries[i];
        assert.deepEqual({ url, method, status, bytes, sent: sent || null, body: base64 ?? Buffer.from(content).toString('base64') }, expected(i));
    }
    const rows = page.locator('.network-log-grid tbody tr.data-grid-data-grid-node');
    await rows.nth(10).waitFor();
    assert.match(await rows.nth(10).textContent(), /^\d+\?a=1&b=%20localhost.*(200|404)/);
    await page.getByText(`${N} requests`).waitFor();
    await page.screenshot({ path: join(process.env.WEB_PICTURES, 'archive-in-chromium.png') });
}, 240);
