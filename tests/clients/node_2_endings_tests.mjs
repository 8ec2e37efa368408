// How WebSocket connections end, and that nothing else ends them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { dial, needPorthole, packages, sleep, until } from './node_rig.mjs';
import { test } from './node_tap.mjs';
import { closing, connect, echo, url, WebSocket, webSockets } from './node_ws.mjs';

const { Agent, WebSocket: BrowserWebSocket } = packages('undici');

const CODES = [[1000, 'done'], [1001, ''], [1011, 'internal'], [3000, 'a library’s'], [4000, 'öffnen'],
    [4999, 'x'.repeat(123)]];

test('ws: close codes and reasons of a client reach the server, and come back', async (t) => {
    const closed = [];
    const { porthole } = await webSockets(t, (socket) => closed.push(closing(socket)));
    for (const [i, [code, reason]] of CODES.entries()) {
        const client = await connect(t, porthole.front, `/close/${code}`);
        await until(() => closed.length > i, 'the connection');
        const back = closing(client);
        client.close(code, reason);
        assert.deepEqual(await closed[i], { code, reason });
        assert.deepEqual(await back, { code, reason });
        await porthole.logged(`/close/${code}`, 'tunneled');
    }
    const client = await connect(t, porthole.front, '/close/without');
    client.close();
    await until(() => closed.length > CODES.length, 'the connection');
    assert.deepEqual(await closed.at(-1), { code: 1005, reason: '' });
});

test('ws: close codes and reasons of a server reach the client, right behind a message too', async (t) => {
    const { porthole } = await webSockets(t, (socket, request) => {
        const [code, reason] = CODES[Number(request.url.slice(1))];
        socket.send('goodbye');
        socket.close(code, reason);
    });
    for (const [i, [code, reason]] of CODES.entries()) {
        const client = new WebSocket(url(porthole.front, `/${i}`));
        const messages = [];
        client.on('message', (data) => messages.push(data.toString()));
        assert.deepEqual(await closing(client), { code, reason });
        assert.deepEqual(messages, ['goodbye']);
        await porthole.logged(`/${i}`, 'tunneled');
    }
});

test('ws: a client that is destroyed: the server sees 1006 soon', async (t) => {
    const closed = [];
    const { porthole } = await webSockets(t, (socket) => {
        closed.push(closing(socket));
        echo(socket);
    });
    const client = await connect(t, porthole.front, '/gone');
    client.send('still here');
    await until(() => client.inbox.length > 0, 'the echo');
    client.terminate();
    assert.equal((await closed[0]).code, 1006);
    await porthole.logged('/gone', ['tunneled', 'client_gone']);
});

test('ws: a client that is destroyed while the server writes to it: the server sees its end soon', async (t) => {
    const closed = [];
    const { porthole } = await webSockets(t, (socket) => {
        closed.push(closing(socket));
        const send = () => {
            if (socket.readyState === WebSocket.OPEN)
                socket.send(Buffer.alloc(100_000), () => setImmediate(send));
        };
        send();
    });
    const client = await connect(t, porthole.front, '/gone', [], { perMessageDeflate: false });
    await until(() => client.inbox.length > 10, 'some messages');
    client.terminate();
    assert.equal((await closed[0]).code, 1006);
    await porthole.logged('/gone', 'client_gone');
});

const DEATHS = [['unix', 'destroy'], ['tcp', 'destroy'], ['tcp', 'resetAndDestroy'], ['tls', 'destroy']];
for (const [target, destroy] of DEATHS) {
    test(`ws: a server on ${target} that ends by ${destroy}: the client sees 1006 soon`, async (t) => {
        const { porthole } = await webSockets(t, (socket, request) => {
            socket.on('message', () => request.socket[destroy]());
        }, { target });
        const client = await connect(t, porthole.front, '/gone');
        client.send('go');
        assert.equal((await closing(client)).code, 1006);
        await porthole.logged('/gone', destroy === 'destroy' ? ['tunneled', 'target_reset'] : 'target_reset');
    });
}

const SHORT = {
    listenerTimeouts: { head: '1500ms', body: '1500ms', idle: '1500ms' },
    timeouts: { response: '1500ms', idle: '1500ms', tunnel: '5s' },
};

test("ws: an idle connection outlives the exchange's timeouts, and is cut by timeouts.tunnel", async (t) => {
    needPorthole();
    const closed = [];
    const { porthole } = await webSockets(t, (socket) => {
        closed.push(closing(socket));
        echo(socket);
    }, SHORT);
    const client = await connect(t, porthole.front, '/idle');
    await sleep(3000); // twice each of the others
    assert.equal(client.readyState, WebSocket.OPEN);
    client.send('still open');
    await until(() => client.inbox.length > 0, 'the echo');
    const begin = performance.now();
    assert.equal((await closing(client)).code, 1006);
    assert.equal((await closed[0]).code, 1006);
    const waited = performance.now() - begin;
    assert.ok(waited > 4800 && waited < 15000, `cut ${waited} ms after the last message`);
    const [entry] = await porthole.logged('/idle', 'tunnel_idle');
    assert.equal(entry.status, 101);
});

test('ws: traffic in one direction keeps a connection open beyond timeouts.tunnel', async (t) => {
    needPorthole();
    const { porthole } = await webSockets(t, (socket) => {
        const timer = setInterval(() => socket.send('tick'), 300);
        socket.on('close', () => clearInterval(timer));
    }, { ...SHORT, timeouts: { ...SHORT.timeouts, tunnel: '3s' } });
    const client = await connect(t, porthole.front, '/ticks');
    await sleep(5000);
    assert.equal(client.readyState, WebSocket.OPEN);
    const closed = closing(client);
    client.close(1000);
    assert.equal((await closed).code, 1000);
    await porthole.logged('/ticks', 'tunneled');
});

test('ws: SIGTERM: an open connection goes on until "drain", then it is cut', async (t) => {
    needPorthole();
    const { porthole } = await webSockets(t, echo, { drain: '6s' });
    const client = await connect(t, porthole.front, '/drain');
    const begin = performance.now();
    porthole.terminate();
    await until(() => new Promise((resolve) => {
        const refused = dial(porthole.front);
        refused.on('connect', () => {
            refused.destroy();
            resolve(false);
        });
        refused.on('error', () => resolve(true));
    }), 'the listener to be gone');
    const closed = closing(client);
    client.send('after SIGTERM');
    await until(() => client.inbox.length > 0, 'the echo');
    assert.equal((await closed).code, 1006);
    await porthole.stop();
    const waited = performance.now() - begin;
    assert.ok(waited > 5900 && waited < 20000, `ended after ${waited} ms`);
    await porthole.logged('/drain', 'stopped');
});

test('ws: SIGTERM: when the last connection closes by itself, the stop does not wait for "drain"', async (t) => {
    needPorthole();
    const { porthole } = await webSockets(t, echo, { drain: '25s' });
    const client = await connect(t, porthole.front, '/drain');
    porthole.terminate();
    await sleep(200);
    const closed = closing(client);
    client.close(1001, 'going');
    assert.equal((await closed).code, 1001);
    const begin = performance.now();
    await porthole.stop();
    assert.ok(performance.now() - begin < 8000);
    await porthole.logged('/drain', 'tunneled');
});

for (const listener of ['tcp', 'unix']) {
    test(`a browser's WebSocket (undici's) on ${listener}: protocol, messages, close`, async (t) => {
        const closed = [];
        const { porthole } = await webSockets(t, (socket) => {
            closed.push(closing(socket));
            echo(socket);
        }, { listener, options: { handleProtocols: () => 'v2' } });
        const { socketPath, host, port } = porthole.front;
        const dispatcher = new Agent(socketPath ? { connect: { socketPath } } : {});
        t.defer(() => dispatcher.destroy());
        const at = socketPath ? 'ws://localhost/browser' : `ws://${host}:${port}/browser`;
        const client = new BrowserWebSocket(at, { protocols: ['v1', 'v2'], dispatcher });
        client.binaryType = 'arraybuffer';
        const messages = [];
        client.addEventListener('message', ({ data }) => messages.push(data));
        await once(client, 'open');
        assert.equal(client.protocol, 'v2');
        const binary = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 7) % 251);
        client.send('text €');
        client.send(binary);
        await until(() => messages.length >= 2, 'two echoes');
        assert.equal(messages[0], 'text €');
        assert.equal(Buffer.compare(Buffer.from(messages[1]), Buffer.from(binary)), 0);
        const close = once(client, 'close');
        client.close(3456, 'seen enough');
        const [event] = await close;
        assert.deepEqual([event.code, event.reason, event.wasClean], [3456, 'seen enough', true]);
        assert.deepEqual(await closed[0], { code: 3456, reason: 'seen enough' });
        await porthole.logged('/browser', 'tunneled');
    });
}

test('a WebSocket by address alone: built into Node from 22 on, undici before', async (t) => {
    const { porthole } = await webSockets(t, echo, { listener: 'tcp', target: 'tcp' });
    const BuiltIn = globalThis.WebSocket ?? BrowserWebSocket;
    const client = new BuiltIn(`ws://${porthole.front.host}:${porthole.front.port}/built-in`);
    t.defer(() => client.close());
    await once(client, 'open');
    client.send('hello');
    const [event] = await once(client, 'message');
    assert.equal(event.data, 'hello');
});
