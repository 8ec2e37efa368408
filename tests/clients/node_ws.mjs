// WebSocket servers and clients of the package ws, as these tests use them.

import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { before, certificate, packages, whole } from './node_rig.mjs';

export const { WebSocket, WebSocketServer } = packages('ws');

export function url(front, path) {
    return front.socketPath ? `ws+unix:${front.socketPath}:${path}` : `ws://${front.host}:${front.port}${path}`;
}

export function echo(socket) {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

// A WebSocket server behind porthole. `onConnection` gets each connection, and the request that opened it.
export async function webSockets(t, onConnection, settings = {}) {
    const { options = {}, ...rest } = settings;
    const server = settings.target === 'tls' ? https.createServer(certificate()) : http.createServer();
    const sockets = new WebSocketServer({ server, ...options });
    sockets.on('connection', (socket, request) => {
        socket.on('error', () => {});
        onConnection(socket, request);
    });
    const porthole = await before(t, server, rest);
    return { porthole, server, sockets };
}

// An open client; `inbox` is what it has received, as { data, isBinary }; `headBytes` of what its socket, `transport`,
// wrote were the request.
export async function connect(t, front, path, protocols = [], options = {}) {
    const client = new WebSocket(url(front, path), protocols, options);
    client.inbox = [];
    client.on('error', (error) => {
        client.failure = error;
    });
    client.on('upgrade', ({ socket }) => {
        client.transport = socket;
        client.headBytes = socket.bytesWritten;
    });
    client.on('message', (data, isBinary) => client.inbox.push({ data, isBinary }));
    t.defer(() => client.terminate());
    await once(client, 'open');
    return client;
}

// What a client learns whom the server does not upgrade: { status, headers, body }.
export async function refusal(t, front, path) {
    const client = new WebSocket(url(front, path));
    client.on('error', () => {});
    t.defer(() => client.terminate());
    const [, response] = await once(client, 'unexpected-response');
    const body = await whole(response);
    return { status: response.statusCode, headers: response.headers, body: body.toString() };
}

// How a connection ended: { code, reason }.
export function closing(socket) {
    return new Promise((resolve) => {
        socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
}
