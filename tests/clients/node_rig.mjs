// What stands around a test: a server made to listen, porthole in front of it, and how it is watched from outside.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Skip } from './node_tap.mjs';

const PROGRAM = process.env.PORTHOLE;
const DIRECT = process.env.DIRECT === '1';

// The packages lie in the build directory, where `import` would not look.
export const packages = createRequire(`${process.env.CLIENTS_MODULES}/`);
export { sleep };

// Polls until `condition` gives something true, and returns that.
export async function until(condition, what, seconds = 10) {
    for (const end = performance.now() + seconds * 1000; performance.now() < end; await sleep(5)) {
        const value = await condition();
        if (value)
            return value;
    }
    throw new Error(`waited ${seconds} s for ${what}`);
}

export function checksum(bytes) {
    return createHash('sha256').update(bytes).digest('hex');
}

// Reads a stream to its end.
export async function whole(stream) {
    const pieces = [];
    for await (const piece of stream)
        pieces.push(piece);
    return Buffer.concat(pieces);
}

let certificateDirectory = null;

// A certificate for 127.0.0.1, signed by itself; one for the whole run.
export function certificate() {
    if (!certificateDirectory) {
        certificateDirectory = mkdtempSync('/tmp/porthole-clients-');
        process.on('exit', () => rmSync(certificateDirectory, { recursive: true, force: true }));
        execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
            '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
            '-keyout', `${certificateDirectory}/key.pem`, '-out', `${certificateDirectory}/cert.pem`],
        { stdio: 'ignore' });
    }
    const file = `${certificateDirectory}/cert.pem`;
    return { file, cert: readFileSync(file), key: readFileSync(`${certificateDirectory}/key.pem`) };
}

// A connection. net calls a socket's path `path`; http and undici call it `socketPath`.
export function dial({ socketPath, ...rest }, options = {}) {
    return net.connect({ ...options, ...(socketPath ? { path: socketPath } : rest) });
}

async function listen(server, ...where) {
    server.listen(...where);
    await once(server, 'listening');
    return server.address().port;
}

// Below those that the kernel gives away, so that nobody else's connection gets it meanwhile.
async function freePort() {
    for (;;) {
        const server = net.createServer();
        try {
            const port = await listen(server, 10000 + Math.floor(Math.random() * 22000), '127.0.0.1');
            server.close();
            await once(server, 'close');
            return port;
        } catch (error) {
            if (error.code !== 'EADDRINUSE') throw error;
        }
    }
}

// Makes a server listen for the test's duration; returns where.
async function serve(t, server, kind) {
    const sockets = new Set();
    server.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => sockets.delete(socket));
    });
    server.on('tlsClientError', () => {});
    t.defer(() => {
        server.close();
        for (const socket of sockets)
            socket.destroy();
    });
    if (kind === 'unix') {
        const socketPath = t.path('target.sock');
        await listen(server, socketPath);
        return { front: { socketPath }, endpoint: `unix:${socketPath}` };
    }
    const port = await listen(server, 0, '127.0.0.1');
    return {
        front: { host: '127.0.0.1', port },
        endpoint: `${kind === 'tls' ? 'https' : 'http'}://127.0.0.1:${port}`,
    };
}

// The program under test, from its configuration to its end by process id.
class Porthole {
    constructor(t, front, settings) {
        this.t = t;
        this.front = front; // where clients find it: { socketPath } or { host, port }
        this.accessLog = t.path('access.log');
        const { endpoint, kind, drain = '500ms', listenerTimeouts, timeouts } = settings;
        const target = { endpoints: [endpoint], ...(timeouts && { timeouts }) };
        if (kind === 'tls')
            target.tls = { ca: certificate().file };
        const bind = front.socketPath ? `unix:${front.socketPath}` : `tcp:${front.host}:${front.port}`;
        writeFileSync(t.path('porthole.json'), JSON.stringify({
            drain,
            log: { access: { format: 'json', to: this.accessLog } },
            listeners: [{ bind, routes: [{ target: 't' }], ...(listenerTimeouts && { timeouts: listenerTimeouts }) }],
            targets: { t: target },
        }, null, 1));
        const log = openSync(t.path('porthole.log'), 'a');
        this.process = spawn(PROGRAM, ['run', '-c', t.path('porthole.json')], { stdio: ['ignore', log, log] });
        closeSync(log);
        this.ended = once(this.process, 'exit'); // [status, signal]
        this.ended.catch(() => {});
        this.pid = this.process.pid;
        t.defer(() => this.stop());
        t.evidence.push(() => this.output + this.accesses);
    }

    get output() {
        return readFileSync(this.t.path('porthole.log'), 'utf8');
    }

    get accesses() {
        return existsSync(this.accessLog) ? readFileSync(this.accessLog, 'utf8') : '';
    }

    isRunning() {
        return this.process.exitCode === null && this.process.signalCode === null;
    }

    async isReady() {
        if (!this.isRunning())
            throw new Error(`porthole ended: ${this.output}`);
        if (this.front.socketPath)
            return existsSync(this.front.socketPath);
        return new Promise((resolve) => {
            const socket = dial(this.front);
            socket.on('connect', () => {
                socket.destroy();
                resolve(true);
            });
            socket.on('error', () => resolve(false));
        });
    }

    terminate() {
        process.kill(this.pid, 'SIGTERM');
    }

    // Every test ends with a stop that must succeed.
    async stop() {
        if (this.isRunning())
            this.terminate();
        const timer = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
        const [status, signal] = await this.ended;
        clearTimeout(timer);
        assert.deepEqual([status, signal], [0, null], `porthole's end: ${this.output}`);
    }

    entries(request) {
        return this.accesses.split('\n').slice(0, -1).map((line) => JSON.parse(line))
            .filter((entry) => entry.request === request);
    }

    // Exactly n exchanges about a request-target were logged, each with one of the outcomes; returns them.
    async logged(request, outcomes, n = 1) {
        await until(() => this.entries(request).length >= n, `${n} lines about ${request} in the access log`);
        const entries = this.entries(request);
        assert.equal(entries.length, n, `lines about ${request}`);
        for (const entry of entries)
            assert.ok([outcomes].flat().includes(entry.outcome), `outcome of ${request}: ${entry.outcome}`);
        return entries;
    }

    // A field of /proc/PID/status, in KiB.
    memory(field) {
        const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
        return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)[1]);
    }

    // Calls `work` and looks at how far the resident memory went up meanwhile.
    async checkMemory(mostKib, work) {
        const program = readFileSync(PROGRAM);
        const isSanitized = ['__asan_init', '__tsan_init'].some((name) => program.includes(name));
        writeFileSync(`/proc/${this.pid}/clear_refs`, '5'); // the high-water mark starts anew (proc(5))
        const before = this.memory('VmRSS');
        await work();
        const highest = this.memory('VmHWM');
        this.t.note(`resident: ${before} KiB before, ${highest} at most`);
        assert.ok(isSanitized || highest - before <= mostKib, `memory grew from ${before} to ${highest} KiB`);
    }
}

// Stands in for porthole where there is none: nothing is known about it.
class Nobody {
    constructor(front) {
        this.front = front;
    }

    async logged() {
        return [];
    }

    async checkMemory(_mostKib, work) {
        await work();
    }
}

export function needPorthole() {
    if (DIRECT)
        throw new Skip('DIRECT: there is no porthole');
}

// Makes `server` listen and puts porthole before it; `target` is unix, tcp or tls, `listener` unix or tcp.
export async function before(t, server, { target = 'unix', listener = 'unix', ...settings } = {}) {
    if (DIRECT && target === 'tls')
        needPorthole();
    const { front, endpoint } = await serve(t, server, target);
    if (DIRECT)
        return new Nobody(front);
    const own = listener === 'unix' ? { socketPath: t.path('app.sock') }
        : { host: '127.0.0.1', port: await freePort() };
    const porthole = new Porthole(t, own, { endpoint, kind: target, ...settings });
    await until(() => porthole.isReady(), 'porthole to listen');
    return porthole;
}
