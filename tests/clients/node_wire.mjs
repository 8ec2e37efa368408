// Connections without a library, for what no library would send, and WebSocket frames (RFC 6455 5.2) by hand.

import { createHash, randomBytes } from 'node:crypto';
import { dial, until } from './node_rig.mjs';

export const WEBSOCKET_KEY = 'cG9ydGhvbGUncyB0ZXN0cw==';

export function acceptKey(key) {
    return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

export function webSocketHead(path, ...lines) {
    return [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade',
        `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`, 'Sec-WebSocket-Version: 13', ...lines, '', ''].join('\r\n');
}

// A whole text message of less than 126 bytes, as a server sends it.
export function serverFrame(text) {
    const payload = Buffer.from(text);
    return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
}

// The same as a client sends it: masked.
export function clientFrame(text) {
    const payload = Buffer.from(text);
    const mask = randomBytes(4);
    const masked = payload.map((byte, i) => byte ^ mask[i % 4]);
    return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, masked]);
}

// A connection that collects what arrives.
export class Wire {
    constructor(t, front) {
        this.bytes = Buffer.alloc(0);
        this.sawEnd = this.sawClose = false;
        this.socket = dial(front, { allowHalfOpen: true });
        this.socket.on('data', (data) => {
            this.bytes = Buffer.concat([this.bytes, data]);
        });
        this.socket.on('end', () => {
            this.sawEnd = true;
        });
        this.socket.on('error', () => {});
        this.socket.on('close', () => {
            this.sawClose = true;
        });
        t.defer(() => this.socket.destroy());
    }

    send(...pieces) {
        this.socket.write(Buffer.concat(pieces.map((piece) => Buffer.from(piece))));
    }

    get text() {
        return this.bytes.toString('latin1');
    }

    // Everything so far, once it holds `text`.
    async expect(text) {
        await until(() => this.text.includes(text) || this.sawClose, `${JSON.stringify(text)} on the wire`);
        if (!this.text.includes(text))
            throw new Error(`closed without ${JSON.stringify(text)}: ${JSON.stringify(this.text.slice(0, 2000))}`);
        return this.text;
    }

    async end() {
        await until(() => this.sawEnd || this.sawClose, 'the end of the connection');
        return this.bytes;
    }
}
