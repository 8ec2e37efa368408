// Node's own HTTP client and server through porthole.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { before, certificate, checksum, dial, sleep, until, whole } from './node_rig.mjs';
import { test } from './node_tap.mjs';
import { Wire } from './node_wire.mjs';

const WAYS = [['unix', 'unix'], ['unix', 'tcp'], ['tcp', 'unix'], ['unix', 'tls']];

// A request under way; errors are kept in `failure`, so that a test decides what they mean. Not with "Connection:
// close", Node's way without an agent: its client ends an upload with an empty write, which on a Unix socket whose
// other end was closed right behind the answer is EPIPE, and makes it drop the answer.
function start(t, front, options) {
    const agent = new http.Agent({ keepAlive: true });
    t.defer(() => agent.destroy());
    const request = http.request({ ...front, agent, ...options });
    request.on('error', (error) => {
        request.failure = error;
    });
    t.defer(() => request.destroy());
    return request;
}

// The whole answer to a request: the IncomingMessage with its `body`.
async function answer(request) {
    const response = await new Promise((resolve, reject) => {
        request.once('response', resolve);
        request.once('error', reject);
    });
    response.body = await whole(response);
    return response;
}

async function ask(t, front, options, body = undefined) {
    const request = start(t, front, options);
    request.end(body);
    return answer(request);
}

// The same server, behind TLS when that is the target.
function maybeOverTls(server, target) {
    if (target !== 'tls')
        return server;
    return https.createServer(certificate(), (...both) => server.emit('request', ...both));
}

test('http: a keep-alive agent sends 100 requests over one connection', async (t) => {
    const server = http.createServer(async (request, response) => {
        const body = await whole(request);
        response.end(`${request.method} ${request.url} ${checksum(body)}`);
    });
    const porthole = await before(t, server);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.defer(() => agent.destroy());
    const sockets = new Set();
    for (let i = 0; i < 100; i++) {
        const body = randomBytes(i * 331);
        const request = start(t, porthole.front, { agent, method: 'PUT', path: `/${i}` });
        request.on('socket', (socket) => sockets.add(socket));
        request.end(body);
        const response = await answer(request);
        assert.equal(response.body.toString(), `PUT /${i} ${checksum(body)}`);
        assert.equal(request.reusedSocket, i > 0);
    }
    assert.equal(sockets.size, 1);
});

test('http: GET, HEAD, 204 and 304 of one server, over one connection', async (t) => {
    const server = http.createServer((request, response) => {
        const status = Number(request.url.slice(1));
        response.writeHead(status, { ETag: '"e"', ...(status === 200 && { 'Content-Length': 5 }) });
        response.end(status === 200 ? 'hello' : undefined);
    });
    const porthole = await before(t, server);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.defer(() => agent.destroy());
    const exchanges = [['HEAD', 200, '5'], ['GET', 204], ['GET', 304], ['GET', 200, '5'], ['HEAD', 304]];
    for (const [method, status, length] of exchanges) {
        const response = await ask(t, porthole.front, { agent, method, path: `/${status}` });
        assert.equal(response.statusCode, status);
        assert.equal(response.headers.etag, '"e"');
        assert.equal(response.headers['content-length'], length);
        assert.equal(response.body.toString(), method === 'GET' && status === 200 ? 'hello' : '');
    }
});

test('http: Expect: 100-continue: the body follows the 100', async (t) => {
    let asked = 0;
    const server = http.createServer();
    server.on('checkContinue', async (request, response) => {
        asked++;
        response.writeContinue();
        response.end(checksum(await whole(request)));
    });
    server.on('request', (_request, response) => response.writeHead(500).end('without Expect'));
    const porthole = await before(t, server);
    const body = randomBytes(3_000_000);
    const request = start(t, porthole.front, {
        method: 'PUT', path: '/', headers: { Expect: '100-continue', 'Content-Length': body.length },
    });
    request.flushHeaders();
    await once(request, 'continue');
    request.end(body);
    const response = await answer(request);
    assert.equal(response.statusCode, 200);
    assert.equal(response.body.toString(), checksum(body));
    assert.ok(asked <= 1); // whether the target is asked too is the proxy's choice (RFC 9110 10.1.1)
});

test('http: Expect: 100-continue: the answer of a server that does not want the body', async (t) => {
    const server = http.createServer();
    for (const event of ['checkContinue', 'request'])
        server.on(event, (_request, response) => response.writeHead(403, { Connection: 'close' }).end('no, thank you'));
    const porthole = await before(t, server);
    const request = start(t, porthole.front, {
        method: 'PUT', path: '/', headers: { Expect: '100-continue', 'Content-Length': 1_000_000 },
    });
    request.flushHeaders();
    const response = await answer(request);
    assert.equal(response.statusCode, 403);
    assert.equal(response.body.toString(), 'no, thank you');
});

test('http: interim responses of a server do not disturb the final one', async (t) => {
    const server = http.createServer((_request, response) => {
        response.writeProcessing();
        response.writeEarlyHints({ link: '</style.css>; rel=preload' });
        response.writeProcessing();
        response.end('final');
    });
    const porthole = await before(t, server);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.defer(() => agent.destroy());
    for (let i = 0; i < 3; i++) {
        const request = start(t, porthole.front, { agent, path: '/' });
        const interim = [];
        request.on('information', ({ statusCode }) => interim.push(statusCode));
        request.end();
        const response = await answer(request);
        assert.deepEqual([response.statusCode, response.body.toString()], [200, 'final']);
        assert.equal(request.reusedSocket, i > 0);
        assert.ok(interim.every((status) => status === 102 || status === 103), interim.join());
    }
});

for (const [listener, target] of WAYS) {
    test(`http, ${listener} to ${target}: request trailers arrive, forbidden ones do not`, async (t) => {
        const server = http.createServer(async (request, response) => {
            const body = await whole(request);
            response.end(JSON.stringify({ body: body.toString(), trailers: request.trailers }));
        });
        const porthole = await before(t, maybeOverTls(server, target), { listener, target });
        const headers = { Trailer: 'X-Digest, X-Other' };
        const request = start(t, porthole.front, { method: 'POST', path: '/', headers });
        request.write('some ');
        // Node's server would fail with the last of these (RFC 9110 6.5.1).
        const forbidden = [['Host', 'evil.example'], ['Authorization', 'Basic eDp5'], ['Content-Length', '7'],
            ['Transfer-Encoding', 'gzip']];
        request.addTrailers([['X-Digest', 'abc'], ...(porthole.pid ? forbidden : []), ['X-Other', 'ä']]);
        request.end('body');
        assert.deepEqual(JSON.parse((await answer(request)).body),
            { body: 'some body', trailers: { 'x-digest': 'abc', 'x-other': 'ä' } });
    });

    test(`http, ${listener} to ${target}: response trailers, for who says TE: trailers and who does not`, async (t) => {
        const seen = [];
        const server = http.createServer((request, response) => {
            seen.push(request.headers.te);
            response.writeHead(200, { Trailer: 'X-Checksum' });
            response.write('a body');
            response.addTrailers({ 'X-Checksum': '123', 'Set-Cookie': 'a=1', 'Content-Type': 'text/evil',
                'X-Second': 'two' });
            response.end();
        });
        const porthole = await before(t, maybeOverTls(server, target), { listener, target });
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        t.defer(() => agent.destroy());
        const wishes = [{ TE: 'trailers', Connection: 'TE' }, {}, { TE: 'trailers', Connection: 'keep-alive, TE' }];
        for (const headers of wishes) {
            const response = await ask(t, porthole.front, { agent, path: '/', headers });
            assert.equal(response.body.toString(), 'a body');
            if (!porthole.pid)
                continue;
            assert.deepEqual(response.trailers, { 'x-checksum': '123', 'x-second': 'two' });
            assert.equal(seen.at(-1), headers.TE);
        }
    });

    test(`http, ${listener} to ${target}: an echo of 20 MB that answers while the upload runs`, async (t) => {
        const server = http.createServer((request, response) => {
            response.writeHead(200, { 'X-Early': '1' });
            request.pipe(response);
        });
        const porthole = await before(t, maybeOverTls(server, target), { listener, target });
        const body = randomBytes(20_000_000);
        const request = start(t, porthole.front, { method: 'POST', path: '/echo' });
        request.write(body.subarray(0, 1000));
        // The answer must begin, and bring what was sent, while more is to come.
        const [response] = await once(request, 'response');
        const pieces = [];
        let received = 0;
        response.on('data', (piece) => {
            pieces.push(piece);
            received += piece.length;
        });
        await until(() => received >= 1000, 'the first of the echo');
        assert.equal(received, 1000);
        request.end(body.subarray(1000));
        await until(() => response.complete, 'the end of the echo', 25);
        assert.equal(checksum(Buffer.concat(pieces)), checksum(body));
        await porthole.logged('/echo', 'forwarded');
    });
}

test('http: a server that answers early and does not read the rest: the answer arrives whole', async (t) => {
    const server = http.createServer((_request, response) => {
        response.writeHead(413, { Connection: 'close', 'Content-Length': 9 });
        response.end('too large');
    });
    const porthole = await before(t, server);
    const headers = { 'Content-Length': 50_000_000 };
    const request = start(t, porthole.front, { method: 'POST', path: '/early', headers });
    request.write(randomBytes(100_000));
    const response = await answer(request);
    assert.deepEqual([response.statusCode, response.body.toString()], [413, 'too large']);
});

test('http: a client that leaves in the middle of its upload: the server notices soon', async (t) => {
    const ends = [];
    let reached = 0, left = 0;
    const server = http.createServer((request) => {
        reached++;
        request.resume();
        request.on('error', () => {});
        request.on('close', () => ends.push(request.complete));
    });
    const porthole = await before(t, server);
    for (const headers of [{ 'Content-Length': 1_000_000 }, {}]) {
        const request = start(t, porthole.front, { method: 'POST', path: '/up', headers });
        request.write(randomBytes(100_000));
        left++;
        await until(() => reached === left, 'the server to have it');
        request.destroy();
    }
    await until(() => ends.length === 2, 'the server to notice both');
    assert.deepEqual(ends, [false, false]);
    await porthole.logged('/up', 'client_gone', 2);
});

test('http: a client that leaves while it waits, and in mid-download: the server notices soon', async (t) => {
    const closed = [];
    let reached = 0;
    const server = http.createServer((request, response) => {
        reached++;
        if (request.url === '/down')
            response.write('x'.repeat(50_000));
        response.on('close', () => closed.push([request.url, response.writableFinished]));
    });
    const porthole = await before(t, server);
    const waiting = start(t, porthole.front, { path: '/wait' });
    waiting.end();
    await until(() => reached === 1, 'the request');
    waiting.destroy();
    const loading = start(t, porthole.front, { path: '/down' });
    loading.end();
    const [response] = await once(loading, 'response');
    response.on('error', () => {});
    await once(response, 'data');
    response.destroy();
    await until(() => closed.length === 2, 'the server to notice both');
    assert.deepEqual(closed.sort(), [['/down', false], ['/wait', false]]);
    await porthole.logged('/wait', 'client_gone');
    await porthole.logged('/down', 'client_gone');
});

test('http: a server that dies in the middle of its answer: the client cannot mistake the end', async (t) => {
    const server = http.createServer((request, response) => {
        if (request.url === '/sized')
            response.writeHead(200, { 'Content-Length': 1000 });
        response.write('a part', () => setTimeout(() => request.socket.destroy(), 20));
    });
    const porthole = await before(t, server);
    for (const path of ['/sized', '/chunked']) {
        const request = start(t, porthole.front, { path });
        request.end();
        const [response] = await once(request, 'response');
        await assert.rejects(whole(response), { code: 'ECONNRESET' });
        assert.equal(response.complete, false);
        await porthole.logged(path, 'target_truncated');
    }
});

test('http: a server that dies before it answers: 502 with the outcome', async (t) => {
    const server = http.createServer((request) => request.socket.destroy());
    const porthole = await before(t, server);
    const request = start(t, porthole.front, { method: 'POST', path: '/dies' });
    request.end('body');
    if (!porthole.pid) {
        await assert.rejects(answer(request));
        return;
    }
    const response = await answer(request);
    assert.equal(response.statusCode, 502);
    assert.equal(response.headers['content-type'], 'application/problem+json');
    assert.match(response.body.toString(), /target_(closed|reset)/);
    await porthole.logged('/dies', ['target_closed', 'target_reset']);
});

test('http: server-sent events arrive one by one, and none waits for the next', async (t) => {
    const n = 30;
    let last = 0;
    let write;
    const server = http.createServer((_request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
        response.flushHeaders();
        write = (i) => {
            last = performance.now();
            response.write(`id: ${i}\ndata: event ${i}\n\n`);
        };
        response.on('close', () => {
            write = null;
        });
    });
    const porthole = await before(t, server);
    const request = start(t, porthole.front, { path: '/events', headers: { Accept: 'text/event-stream' } });
    request.end();
    const [response] = await once(request, 'response');
    assert.equal(response.headers['content-type'], 'text/event-stream');
    response.setEncoding('utf8');
    response.on('error', () => {});
    const delays = [];
    for (let i = 0; i < n; i++) {
        // The next event is written only when this one has been read: nothing may wait for company.
        write(i);
        const [piece] = await once(response, 'data');
        assert.equal(piece, `id: ${i}\ndata: event ${i}\n\n`);
        delays.push(performance.now() - last);
        await sleep(10);
    }
    delays.sort((a, b) => a - b);
    t.note(`delays: median ${delays[n / 2].toFixed(2)} ms, longest ${delays.at(-1).toFixed(2)} ms`);
    // A busy machine may keep some waiting; one that is kept back is never there.
    assert.ok(delays[n / 2] < 100 && delays.at(-1) < 10000, `delays in ms: ${delays.map((ms) => ms.toFixed(1)).join(' ')}`);
    request.destroy();
    await until(() => write === null, 'the server to see the client leave');
    await porthole.logged('/events', 'client_gone');
});

// Upgrades a POST to a protocol of its own and speaks it: everything is returned in capitals, the end comes last.
function shouting() {
    const server = http.createServer();
    server.on('upgrade', async (request, socket, head) => {
        socket.on('error', () => {});
        const { upgrade, 'content-length': length } = request.headers;
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n'
            + `Upgrade: ${upgrade}\r\nX-Length: ${length}\r\n\r\n`);
        const said = [head];
        socket.on('data', (data) => said.push(data));
        await once(socket, 'end');
        socket.end(Buffer.concat(said).toString().toUpperCase());
    });
    return server;
}

for (const protocol of ['tcp', 'SPDY/3.1', 'websocket']) {
    test(`http: upgrade to ${protocol}: what is said before a half-close is answered after it`, async (t) => {
        const porthole = await before(t, shouting());
        const request = start(t, porthole.front, {
            method: 'POST', path: '/attach',
            headers: { Connection: 'Upgrade', Upgrade: protocol, 'Content-Length': 0 },
            createConnection: () => dial(porthole.front, { allowHalfOpen: true }),
        });
        request.end();
        const [response, socket, head] = await once(request, 'upgrade');
        t.defer(() => socket.destroy());
        assert.equal(response.statusCode, 101);
        assert.equal(response.headers.upgrade, protocol);
        assert.equal(response.headers['x-length'], '0');
        const text = 'no shouting, please\n'.repeat(50_000);
        socket.end(text);
        const heard = Buffer.concat([head, await whole(socket)]);
        assert.equal(heard.toString(), text.toUpperCase());
        await porthole.logged('/attach', 'tunneled');
    });
}

test('http: an upgrade request with a body, in one write with what follows it', async (t) => {
    // As docker's clients start an exec: Node's server leaves the body to the listener for "upgrade".
    const porthole = await before(t, shouting());
    const wire = new Wire(t, porthole.front);
    wire.send('POST /exec HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n'
        + 'Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"tty":false}');
    await wire.expect('\r\n\r\n');
    assert.match(wire.text, /^HTTP\/1\.1 101 /);
    wire.send('and more');
    wire.socket.end();
    const text = (await wire.end()).toString();
    assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4), '{"TTY":FALSE}AND MORE');
    await porthole.logged('/exec', 'tunneled');
});

test('http: who is refused an upgrade gets an ordinary answer, chunks and all', async (t) => {
    const server = http.createServer((request, response) => {
        response.write(`no ${request.headers.upgrade}, `);
        response.end('sorry');
    });
    const porthole = await before(t, server);
    const headers = { Connection: 'Upgrade', Upgrade: 'tcp' };
    const response = await ask(t, porthole.front, { path: '/refused', headers });
    assert.deepEqual([response.statusCode, response.body.toString()], [200, 'no tcp, sorry']);
    await porthole.logged('/refused', 'forwarded');
});
