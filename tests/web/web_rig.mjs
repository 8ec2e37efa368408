// Who answers the page: porthole itself, and in front of it a server whose porthole has seen everything (fixture.mjs).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { clients, exchange, status } from './fixture.mjs';

// Below those that the kernel gives away, so that nobody else's connection gets it meanwhile.
export async function freePort() {
    for (;;) {
        const port = 10000 + Math.floor(Math.random() * 22000), server = http.createServer().listen(port, '127.0.0.1');
        try {
            await once(server, 'listening');
        } catch (error) {
            if (error.code === 'EADDRINUSE') continue;
            throw error;
        }
        server.close();
        await once(server, 'close');
        return port;
    }
}

const PAGES = ['healthz', 'readyz', 'status', 'clients', 'tap', 'config', 'ui', 'reload'];

// porthole with one listener, which answers by itself, one target, which is not there, and an admin listener on TCP.
export async function startPorthole(t) {
    const port = await freePort(), file = t.path('porthole.json');
    const configuration = {
        admin: [{ bind: `tcp:127.0.0.1:${port}`, pages: PAGES }],
        listeners: [{ name: 'app', bind: `unix:${t.path('app.sock')}`, routes: [
            { name: 'hello', match: { path: '/hello' }, respond: { status: 200, body: 'hello\n' } },
            { name: 'gone', match: { path_prefix: '/gone' }, target: 'absent' }] }],
        targets: { absent: { endpoints: [`unix:${t.path('absent.sock')}`] } },
    };
    const write = (what) => writeFileSync(file, typeof what === 'string' ? what : JSON.stringify(what, null, 1));
    write(configuration);
    const child = spawn(process.env.PORTHOLE, ['run', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (data) => { errors += data; });
    const ended = once(child, 'exit');
    t.evidence.push(() => errors);
    t.defer(async () => {
        child.kill('SIGTERM');
        await ended;
    });
    const base = `http://127.0.0.1:${port}`;
    for (let i = 0; i < 200; i++) {
        if (child.exitCode !== null)
            throw new Error(`porthole ended: ${errors}`);
        const answer = await fetch(`${base}/healthz`).catch(() => null);
        if (answer?.ok)
            break;
        await sleep(50);
    }
    return { base, configuration, write, socket: t.path('app.sock'), pid: child.pid };
}

export function ask(socketPath, path) {
    return new Promise((resolve, reject) => {
        http.get({ socketPath, path, agent: false }, (answer) => {
            answer.resume();
            answer.on('end', () => resolve(answer.statusCode));
        }).on('error', reject);
    });
}

// porthole's document with figures of ours. Fields of what is returned may be changed while it runs: `per_second`
// exchanges of the tap, `down` (nothing but the document is answered), `edit(status)`.
export async function startFake(t) {
    const { base: behind } = await startPorthole(t);
    const document = await fetch(`${behind}/`);
    const head = Object.fromEntries(['content-type', 'content-security-policy', 'cache-control'].map((name) => [name, document.headers.get(name)]));
    const body = await document.text();
    const fake = { per_second: 10, down: false, edit: (told) => told, n_sent: 0, head, body };
    const begun = Date.now();

    const json = (answer, what) => {
        answer.writeHead(200, { 'Content-Type': 'application/json' });
        answer.end(JSON.stringify(what));
    };
    // What is due is written each 10 ms, or later where this process had to wait, as one piece. A reader that is slow loses
    // some, and is told.
    const tap = (answer) => {
        let due = 0, lost = 0, then = performance.now();
        answer.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
        answer.flushHeaders();
        const timer = setInterval(() => {
            const now = performance.now(), lines = [];
            due += fake.per_second * (now - then) / 1000;
            then = now;
            const room = answer.writableLength > 1 << 20 ? 0 : 5000;
            for (; due >= 1 && lines.length < room; due--)
                lines.push(JSON.stringify(exchange(fake.n_sent++)));
            for (; due >= 1; due--, lost++)
                fake.n_sent++;
            if (room === 0 || (lines.length === 0 && lost === 0))
                return;
            if (lost > 0)
                lines.unshift(JSON.stringify({ event: 'lost', lost }));
            lost = 0;
            answer.write(`${lines.join('\n')}\n`);
        }, 10);
        answer.on('close', () => clearInterval(timer));
    };
    const server = http.createServer((request, answer) => {
        const path = request.url.split('?')[0];
        if (path === '/') {
            answer.writeHead(200, head);
            answer.end(body);
        } else if (fake.down)
            answer.destroy();
        else if (path === '/status')
            json(answer, fake.edit(status((Date.now() - begun) / 1000)));
        else if (path === '/clients')
            json(answer, clients());
        else if (path === '/tap')
            tap(answer);
        else {
            answer.writeHead(404);
            answer.end();
        }
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.defer(() => {
        server.closeAllConnections();
        server.close();
    });
    fake.base = `http://127.0.0.1:${server.address().port}`;
    return fake;
}
