// undici, the client behind Node's fetch, through porthole.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { before, checksum, packages, until, whole } from './node_rig.mjs';
import { test } from './node_tap.mjs';

const { Agent, Client, fetch, FormData } = packages('undici');

const WAYS = [['unix', 'unix'], ['unix', 'tcp'], ['tcp', 'unix']];

function origin({ socketPath, host, port }) {
    return socketPath ? 'http://localhost' : `http://${host}:${port}`;
}

function close(t, dispatcher) {
    t.defer(() => dispatcher.destroy());
    return dispatcher;
}

function client(t, front, options = {}) {
    return close(t, new Client(origin(front), { socketPath: front.socketPath, ...options }));
}

function agent(t, front, options = {}) {
    return close(t, new Agent({ connect: { socketPath: front.socketPath }, ...options }));
}

// A stream of a length that is not announced.
function inPieces(bytes) {
    return Readable.from((function* pieces() {
        for (let at = 0; at < bytes.length; at += 70_000)
            yield bytes.subarray(at, at + 70_000);
    })());
}

// Answers with what was asked: the method, the target, and the body.
async function mirror(request, response) {
    const body = await whole(request).catch(() => null);
    if (body === null)
        return;
    const coding = request.headers['transfer-encoding'] ?? request.headers['content-length'] ?? 'none';
    response.writeHead(200, { 'X-Asked': `${request.method} ${request.url} ${coding}`, 'X-Checksum': checksum(body) });
    response.end(body);
}

for (const [listener, target] of WAYS) {
    test(`undici, ${listener} to ${target}: request() with bodies of 5 MB both ways, sized and chunked`, async (t) => {
        const porthole = await before(t, http.createServer(mirror), { listener, target });
        const undici = client(t, porthole.front);
        const sent = randomBytes(5_000_000);
        for (const [body, coding] of [[sent, '5000000'], [inPieces(sent), 'chunked']]) {
            const answer = await undici.request({ method: 'POST', path: '/a%2Fb?c=%20&', body });
            const got = Buffer.from(await answer.body.arrayBuffer());
            assert.equal(answer.statusCode, 200);
            assert.equal(answer.headers['x-asked'], `POST /a%2Fb?c=%20& ${coding}`);
            assert.equal(answer.headers['x-checksum'], checksum(sent));
            assert.equal(checksum(got), checksum(sent));
        }
    });
}

test('undici: stream() and pipeline()', async (t) => {
    const porthole = await before(t, http.createServer(mirror));
    const undici = client(t, porthole.front);
    const sent = randomBytes(3_000_000);
    const received = [];
    const sink = () => new Writable({
        write(piece, _encoding, done) {
            received.push(piece);
            setImmediate(done);
        },
    });
    await undici.stream({ method: 'PUT', path: '/stream', body: sent }, ({ statusCode, headers }) => {
        assert.equal(statusCode, 200);
        assert.equal(headers['x-checksum'], checksum(sent));
        return sink();
    });
    assert.equal(checksum(Buffer.concat(received)), checksum(sent));

    received.length = 0;
    const through = undici.pipeline({ method: 'PUT', path: '/pipeline' }, ({ body }) => body.pipe(new PassThrough()));
    await pipeline(inPieces(sent), through, sink());
    assert.equal(checksum(Buffer.concat(received)), checksum(sent));
});

test('undici: pipeline() against an echo that answers while the upload runs: 20 MB', async (t) => {
    const porthole = await before(t, http.createServer((request, response) => request.pipe(response)));
    const undici = client(t, porthole.front);
    const sent = randomBytes(20_000_000);
    const through = undici.pipeline({ method: 'POST', path: '/echo' }, ({ body }) => body);
    const received = [];
    await pipeline(inPieces(sent), through, new Writable({
        write(piece, _encoding, done) {
            received.push(piece);
            done();
        },
    }));
    assert.equal(checksum(Buffer.concat(received)), checksum(sent));
    await porthole.logged('/echo', 'forwarded');
});

test('undici: ten requests in one pipeline, answered in order whatever they cost', async (t) => {
    const seen = [];
    const server = http.createServer((request, response) => {
        seen.push(request.url);
        const i = Number(request.url.slice(1));
        setTimeout(() => response.end(`answer ${i} ${'x'.repeat(i * 1000)}`), i % 3 === 0 ? 30 : 0);
    });
    const porthole = await before(t, server);
    const undici = client(t, porthole.front, { pipelining: 10 });
    const order = [];
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
        const { body } = await undici.request({ method: 'GET', path: `/${i}` });
        const text = await body.text();
        order.push(i);
        return text;
    }));
    assert.deepEqual(answers, answers.map((_, i) => `answer ${i} ${'x'.repeat(i * 1000)}`));
    assert.deepEqual(order, answers.map((_, i) => i));
    assert.deepEqual(seen, answers.map((_, i) => `/${i}`));
});

test('undici: an agent of four pipelined connections: 400 requests, none mixed up', async (t) => {
    const porthole = await before(t, http.createServer(mirror));
    const dispatcher = agent(t, porthole.front, { connections: 4, pipelining: 4 });
    await Promise.all(Array.from({ length: 400 }, async (_, i) => {
        const method = i % 3 === 0 ? 'PUT' : 'GET'; // undici pipelines the safe ones only
        const body = method === 'PUT' ? `body ${i} ${'y'.repeat(i * 50)}` : undefined;
        const answer = await dispatcher.request({ origin: origin(porthole.front), method, path: `/${i}`, body });
        assert.ok(answer.headers['x-asked'].startsWith(`${method} /${i} `));
        assert.equal(await answer.body.text(), body ?? '');
    }));
});

test('undici: HEAD, 204, 304 and an ordinary answer after them', async (t) => {
    const server = http.createServer((request, response) => {
        const status = Number(request.url.slice(1));
        response.writeHead(status, status === 200 ? { 'Content-Length': 5 } : {});
        response.end(status === 200 ? 'hello' : undefined);
    });
    const porthole = await before(t, server);
    const undici = client(t, porthole.front);
    const exchanges = [['HEAD', 200, ''], ['GET', 204, ''], ['GET', 304, ''], ['GET', 200, 'hello']];
    for (const [method, status, expected] of exchanges) {
        const { statusCode, body } = await undici.request({ method, path: `/${status}` });
        assert.deepEqual([statusCode, await body.text()], [status, expected]);
    }
});

test('undici: AbortController before the answer, in an answer, in an upload: the server notices, the client goes on',
    async (t) => {
        const ends = [], reached = [];
        const server = http.createServer((request, response) => {
            const { url } = request;
            reached.push(url);
            request.resume().on('error', () => {});
            response.on('close', () => response.writableFinished || ends.push(url));
            if (url === '/after')
                response.end('still of use');
            else if (url === '/answer')
                response.write('x'.repeat(10_000));
        });
        const porthole = await before(t, server);
        const undici = client(t, porthole.front);
        const aborted = { name: 'AbortError' };

        const waiting = new AbortController();
        const answer = undici.request({ method: 'GET', path: '/wait', signal: waiting.signal });
        until(() => reached.includes('/wait'), 'the request').then(() => waiting.abort());
        await assert.rejects(answer, aborted);
        await until(() => ends.length === 1, 'the server to notice');

        const loading = new AbortController();
        const { body } = await undici.request({ method: 'GET', path: '/answer', signal: loading.signal });
        setTimeout(() => loading.abort(), 50);
        await assert.rejects(whole(body), aborted);
        await until(() => ends.length === 2, 'the server to notice');

        const sending = new AbortController();
        const endless = Readable.from((async function* pieces() {
            for (;;)
                yield await new Promise((resolve) => setTimeout(resolve, 5, Buffer.alloc(1000)));
        })());
        const upload = undici.request({ method: 'POST', path: '/upload', body: endless, signal: sending.signal });
        until(() => reached.includes('/upload'), 'the upload').then(() => sending.abort());
        await assert.rejects(upload, aborted);
        await until(() => ends.length === 3, 'the server to notice');

        assert.deepEqual(ends, ['/wait', '/answer', '/upload']);
        const after = await undici.request({ method: 'GET', path: '/after' });
        assert.equal(await after.body.text(), 'still of use');
        for (const path of ends)
            await porthole.logged(path, 'client_gone');
    });

test('undici: upgrade(): bytes both ways, and the end', async (t) => {
    const server = http.createServer();
    server.on('upgrade', (request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n'
            + `Upgrade: ${request.headers.upgrade}\r\n\r\n`);
        socket.on('error', () => {});
        socket.pipe(socket);
    });
    const porthole = await before(t, server);
    const { headers, socket } = await client(t, porthole.front).upgrade({ path: '/upgrade', protocol: 'tcp' });
    t.defer(() => socket.destroy());
    assert.equal(headers.upgrade, 'tcp');
    const sent = randomBytes(5_000_000);
    const received = [];
    socket.on('data', (piece) => received.push(piece));
    socket.end(sent);
    await once(socket, 'end');
    assert.equal(checksum(Buffer.concat(received)), checksum(sent));
    await porthole.logged('/upgrade', 'tunneled');
});

test('undici: response trailers, for who says TE: trailers and who does not', async (t) => {
    const server = http.createServer((_request, response) => {
        response.writeHead(200, { Trailer: 'X-Checksum' });
        response.write('a body');
        response.addTrailers({ 'X-Checksum': '123', 'WWW-Authenticate': 'Basic', 'X-Last': '' });
        response.end();
    });
    const porthole = await before(t, server);
    const undici = client(t, porthole.front);
    for (const headers of [{ te: 'trailers' }, {}, { te: 'gzip;q=0.5, trailers' }]) {
        const { body, trailers } = await undici.request({ method: 'GET', path: '/', headers });
        assert.equal(await body.text(), 'a body');
        if (porthole.pid)
            assert.deepEqual({ ...trailers }, { 'x-checksum': '123', 'x-last': '' });
    }
});

test('fetch: JSON, a form, a stream up and down, a redirect, an abort', async (t) => {
    const server = http.createServer((request, response) => {
        if (request.url === '/redirect')
            response.writeHead(307, { Location: '/there' }).end();
        else if (request.url !== '/never')
            mirror(request, response);
    });
    const porthole = await before(t, server);
    const dispatcher = agent(t, porthole.front);
    const at = origin(porthole.front);

    const json = await fetch(`${at}/json`, { dispatcher, method: 'POST', body: JSON.stringify({ a: [1, 'ä'] }) });
    assert.deepEqual(await json.json(), { a: [1, 'ä'] });

    const form = new FormData();
    form.append('name', 'value with spaces');
    form.append('file', new Blob([randomBytes(300_000)]), 'file.bin');
    const posted = await fetch(`${at}/form`, { dispatcher, method: 'POST', body: form });
    const text = Buffer.from(await posted.arrayBuffer());
    assert.equal(posted.headers.get('x-checksum'), checksum(text));
    assert.ok(text.includes('value with spaces') && text.length > 300_000);

    const sent = randomBytes(2_000_000);
    const body = Readable.toWeb(inPieces(sent));
    const streamed = await fetch(`${at}/stream`, { dispatcher, method: 'PUT', body, duplex: 'half' });
    assert.equal(streamed.headers.get('x-asked'), 'PUT /stream chunked');
    assert.equal(checksum(Buffer.from(await streamed.arrayBuffer())), checksum(sent));

    const moved = await fetch(`${at}/redirect`, { dispatcher, method: 'POST', body: 'kept' });
    assert.equal(moved.redirected, true);
    assert.equal(moved.headers.get('x-asked'), 'POST /there 4');
    assert.equal(await moved.text(), 'kept');

    const never = fetch(`${at}/never`, { dispatcher, signal: AbortSignal.timeout(100) });
    await assert.rejects(never, { name: 'TimeoutError' });
    await porthole.logged('/never', 'client_gone');
});
