// WebSocket messages through porthole: the ends, of the package ws, must not be able to tell that it is there.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { before, checksum, dial, sleep, until } from './node_rig.mjs';
import { test } from './node_tap.mjs';
import { acceptKey, clientFrame, serverFrame, webSocketHead, Wire, WEBSOCKET_KEY } from './node_wire.mjs';
import { closing, connect, echo, refusal, webSockets } from './node_ws.mjs';

const PLAIN = { perMessageDeflate: false };
const WAYS = [['unix', 'unix'], ['unix', 'tcp'], ['tcp', 'unix'], ['unix', 'tls']];

function named(what, [listener, target]) {
    return `ws, ${listener} to ${target}: ${what}`;
}

// Closes a client's connection and compares what the access log says with the bytes that went over the socket.
async function closeAndLook(client, porthole, path) {
    const closed = closing(client);
    client.close(1000);
    assert.equal((await closed).code, 1000);
    const [entry] = await porthole.logged(path, 'tunneled');
    if (!entry)
        return;
    assert.equal(entry.status, 101);
    // The tunnel's bytes are counted, not the two heads'.
    const { bytesWritten, bytesRead } = client.transport;
    assert.equal(entry.bytes_in, bytesWritten - client.headBytes, 'bytes_in');
    const answerBytes = bytesRead - entry.bytes_out;
    assert.ok(answerBytes > 100 && answerBytes < 1024, `bytes_out is ${entry.bytes_out} of ${bytesRead}`);
}

for (const way of WAYS) {
    const [listener, target] = way;

    test(named('text and binary messages of every length encoding come back as they were', way), async (t) => {
        const { porthole } = await webSockets(t, echo, { listener, target });
        const client = await connect(t, porthole.front, '/echo', [], PLAIN);
        const sent = [];
        for (const length of [0, 1, 125, 126, 4096, 65_535, 65_536, 300_000]) {
            sent.push({ data: randomBytes(length), isBinary: true });
            sent.push({ data: Buffer.from('schön €𝄞 '.repeat(length / 10)), isBinary: false });
        }
        for (const { data, isBinary } of sent)
            client.send(data, { binary: isBinary });
        await until(() => client.inbox.length >= sent.length, 'the echoes');
        assert.equal(client.inbox.length, sent.length);
        for (const [i, message] of client.inbox.entries()) {
            assert.equal(message.isBinary, sent[i].isBinary);
            assert.equal(Buffer.compare(message.data, sent[i].data), 0, `message ${i}`);
        }
        await closeAndLook(client, porthole, '/echo');
    });

    test(named('messages of 10 MB both ways at the same time', way), async (t) => {
        const down = randomBytes(10_000_000);
        const up = randomBytes(10_000_000);
        let received = null;
        const { porthole } = await webSockets(t, (socket) => {
            socket.on('message', (data) => {
                received = checksum(data);
            });
            socket.send(down);
        }, { listener, target });
        const client = await connect(t, porthole.front, '/large', [], PLAIN);
        client.send(up);
        await until(() => received && client.inbox.length > 0, 'both messages', 25);
        assert.equal(received, checksum(up));
        assert.equal(checksum(client.inbox[0].data), checksum(down));
        await closeAndLook(client, porthole, '/large');
    });

    test(named('fragments, with pings between them; pongs come back', way), async (t) => {
        const serverSaw = [];
        const { porthole } = await webSockets(t, (socket) => {
            echo(socket);
            socket.on('ping', (data) => serverSaw.push(`ping ${data}`));
            socket.on('pong', (data) => serverSaw.push(`pong ${data}`));
            socket.ping('from the server');
        }, { listener, target });
        const client = await connect(t, porthole.front, '/fragments', [], PLAIN);
        const pongs = [];
        client.on('pong', (data) => pongs.push(data.toString()));
        const pieces = Array.from({ length: 50 }, (_, i) => randomBytes(i * 97));
        for (const [i, piece] of pieces.entries()) {
            client.send(piece, { fin: i === pieces.length - 1 });
            client.ping(`p${i}`);
        }
        await until(() => client.inbox.length > 0 && pongs.length === 50 && serverSaw.length === 51, 'echo and pongs');
        assert.equal(checksum(client.inbox[0].data), checksum(Buffer.concat(pieces)));
        assert.deepEqual(pongs, pieces.map((_, i) => `p${i}`));
        assert.ok(serverSaw.includes('pong from the server') && serverSaw.includes('ping p49'));
        await closeAndLook(client, porthole, '/fragments');
    });
}

test('ws: permessage-deflate is agreed on and compresses', async (t) => {
    const { porthole } = await webSockets(t, echo, { options: { perMessageDeflate: { threshold: 0 } } });
    const client = await connect(t, porthole.front, '/deflate', [], {
        createConnection: () => dial(porthole.front), // the other way to a Unix socket
        perMessageDeflate: { threshold: 0, clientMaxWindowBits: 12 },
    });
    assert.match(client.extensions, /^permessage-deflate/);
    const text = 'the same again and again, '.repeat(40_000);
    client.send(text);
    await until(() => client.inbox.length > 0, 'the echo');
    assert.equal(client.inbox[0].data.toString(), text);
    const { bytesWritten, bytesRead } = client.transport;
    assert.ok(bytesWritten < 100_000 && bytesRead < 100_000, 'nothing was compressed');
});

test('ws: the subprotocol that the server chooses reaches the client, and no choice stays none', async (t) => {
    const offered = [];
    const { porthole } = await webSockets(t, echo, {
        options: {
            handleProtocols: (protocols, request) => {
                offered.push([...protocols].join());
                return request.url === '/choose' && 'v2.example';
            },
        },
    });
    const chosen = await connect(t, porthole.front, '/choose', ['v1.example', 'v2.example']);
    assert.equal(chosen.protocol, 'v2.example');
    const without = await connect(t, porthole.front, '/without');
    assert.equal(without.protocol, '');
    assert.deepEqual(offered, ['v1.example,v2.example']);
});

test("ws: the handshake's fields arrive on both sides", async (t) => {
    let seen;
    const { porthole, sockets } = await webSockets(t, (_socket, request) => {
        seen = request;
    });
    sockets.on('headers', (lines) => lines.push('X-From-Server: 1', 'Set-Cookie: a=1', 'Set-Cookie: b=2'));
    let answer;
    const path = '/with?query=%2f&x';
    const client = await connect(t, porthole.front, path, [], {
        headers: { 'X-From-Client': '2', Cookie: 'c=3' },
        origin: 'https://app.example',
        finishRequest: (request) => {
            request.on('upgrade', (response) => {
                answer = response;
            });
            request.end();
        },
    });
    assert.equal(client.readyState, 1);
    assert.equal(seen.url, path);
    const { 'x-from-client': own, cookie, origin, upgrade, connection } = seen.headers;
    assert.deepEqual([own, cookie, origin, upgrade, connection.toLowerCase()],
        ['2', 'c=3', 'https://app.example', 'websocket', 'upgrade']);
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(answer.headers['x-from-server'], '1');
    assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
});

// Answers each request to upgrade with 101 and a first message in one write, then keeps what the client sends.
function eagerServer(received) {
    return net.createServer((socket) => {
        let head = '';
        socket.on('error', () => {});
        socket.on('data', (data) => {
            if (head.includes('\r\n\r\n')) {
                received.push(data);
                return;
            }
            head += data.toString('latin1');
            const at = head.indexOf('\r\n\r\n');
            if (at < 0)
                return;
            if (head.length > at + 4)
                received.push(Buffer.from(head.slice(at + 4), 'latin1'));
            const key = /^sec-websocket-key: *(\S+)/im.exec(head)[1];
            const answer = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
                `Sec-WebSocket-Accept: ${acceptKey(key)}`, '', ''].join('\r\n');
            socket.write(Buffer.concat([Buffer.from(answer), serverFrame('first'), serverFrame('second')]));
        });
    });
}

test('ws: messages in the same write as the 101 are not lost', async (t) => {
    const received = [];
    const porthole = await before(t, eagerServer(received));
    const client = await connect(t, porthole.front, '/eager');
    await until(() => client.inbox.length >= 2, 'two messages');
    assert.deepEqual(client.inbox.map(({ data }) => data.toString()), ['first', 'second']);
    client.send('third');
    await until(() => Buffer.concat(received).length >= 11, 'the frame of the client');
    assert.equal(Buffer.concat(received).length, 11);
});

test('ws: messages right behind the request, in one write with it and in two, are not lost', async (t) => {
    const { porthole } = await webSockets(t, echo);
    for (const nAtOnce of [0, 1, 3]) {
        const wire = new Wire(t, porthole.front);
        const frames = ['one', 'two', 'three'].map(clientFrame);
        wire.send(webSocketHead(`/behind/${nAtOnce}`), ...frames.slice(0, nAtOnce));
        wire.send(...frames.slice(nAtOnce));
        const text = await wire.expect('three');
        assert.match(text, /^HTTP\/1\.1 101 /);
        assert.ok(text.includes(acceptKey(WEBSOCKET_KEY)));
        const echoes = Buffer.concat(['one', 'two', 'three'].map(serverFrame)).toString('latin1');
        assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4), echoes);
        wire.socket.destroy();
    }
});

test('ws: a server that refuses with 401: its whole answer arrives', async (t) => {
    const server = http.createServer();
    server.on('upgrade', (_request, socket) => {
        const body = 'who are you?';
        socket.end(['HTTP/1.1 401 Unauthorized', 'WWW-Authenticate: Bearer realm="tests"', 'X-Why: no token',
            `Content-Length: ${body.length}`, '', body].join('\r\n'));
    });
    const porthole = await before(t, server);
    const { status, headers, body } = await refusal(t, porthole.front, '/401');
    assert.equal(status, 401);
    assert.equal(headers['www-authenticate'], 'Bearer realm="tests"');
    assert.equal(headers['x-why'], 'no token');
    assert.equal(body, 'who are you?');
    const [entry] = await porthole.logged('/401', 'forwarded');
    assert.ok(!entry || entry.status === 401);
});

test('ws: a server that refuses with 426: its whole answer arrives, and the connection stays of use', async (t) => {
    // Without a listener for "upgrade" Node serves such requests as ordinary ones.
    const server = http.createServer((request, response) => {
        if (request.url === '/426')
            response.writeHead(426, { 'X-Why': 'no upgrade here', 'Content-Length': 4 }).end('no!\n');
        else
            response.end('an ordinary answer');
    });
    const porthole = await before(t, server);
    const { status, headers, body } = await refusal(t, porthole.front, '/426');
    assert.deepEqual([status, headers['x-why'], body], [426, 'no upgrade here', 'no!\n']);
    const wire = new Wire(t, porthole.front);
    wire.send(webSocketHead('/426'));
    assert.match(await wire.expect('no!\n'), /^HTTP\/1\.1 426 /);
    wire.send('GET /after HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.match(await wire.expect('an ordinary answer'), /no!\nHTTP\/1\.1 200 /);
    await porthole.logged('/426', 'forwarded', 2);
    await porthole.logged('/after', 'forwarded');
});

test('ws: 200 connections at once, each gets its own echoes and no others', async (t) => {
    const { porthole, sockets } = await webSockets(t, echo);
    const n = 200;
    const clients = await Promise.all(Array.from({ length: n }, () => connect(t, porthole.front, '/many')));
    assert.equal(sockets.clients.size, n);
    for (let round = 0; round < 5; round++) {
        for (const [i, client] of clients.entries())
            client.send(`${round} of ${i} ${'x'.repeat(i)}`);
    }
    await until(() => clients.every((client) => client.inbox.length >= 5), 'all echoes', 25);
    for (const [i, client] of clients.entries()) {
        assert.deepEqual(client.inbox.map(({ data }) => data.toString()),
            [0, 1, 2, 3, 4].map((round) => `${round} of ${i} ${'x'.repeat(i)}`));
    }
    const codes = clients.map(closing);
    for (const client of clients)
        client.close(1000);
    assert.ok((await Promise.all(codes)).every(({ code }) => code === 1000));
    await porthole.logged('/many', 'tunneled', n);
}, 60);

const N_LARGE = 50;
const LARGE = randomBytes(1_000_000);

// The reader of 50 MB rests: the writer must feel it, porthole must not store it, and nothing may be lost.
async function checkBackPressure(porthole, writer, reader) {
    let received = 0;
    let wrong = 0;
    reader.on('message', (data) => {
        received++;
        wrong += Buffer.compare(data, LARGE) !== 0;
    });
    reader.pause();
    await porthole.checkMemory(4096, async () => {
        for (let i = 0; i < N_LARGE; i++)
            writer.send(LARGE);
        // Whatever can move has moved when the writer's buffer stands still.
        let last = -1;
        await until(async () => {
            const now = writer.bufferedAmount;
            const same = now === last;
            last = now;
            await sleep(200);
            return same;
        }, 'the writer to be held back');
        assert.ok(last > 40_000_000, `only ${last} of 50 MB were held back`);
        assert.equal(received, 0);
        reader.resume();
        await until(() => received === N_LARGE, 'all messages', 40);
    });
    assert.equal(wrong, 0, 'messages that were changed');
}

test('ws: 50 MB to a client that rests: the server is held back, memory stays bounded', async (t) => {
    let server;
    const { porthole } = await webSockets(t, (socket) => {
        server = socket;
    });
    const client = await connect(t, porthole.front, '/down', [], PLAIN);
    client.removeAllListeners('message');
    await until(() => server, 'the connection');
    await checkBackPressure(porthole, server, client);
}, 60);

test('ws: 50 MB to a server that rests: the client is held back, memory stays bounded', async (t) => {
    let server;
    const { porthole } = await webSockets(t, (socket) => {
        server = socket;
    });
    const client = await connect(t, porthole.front, '/up', [], PLAIN);
    await until(() => server, 'the connection');
    await checkBackPressure(porthole, client, server);
}, 60);
