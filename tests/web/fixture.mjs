// What a porthole with some life in it says: two listeners, routes of every action, targets in every state of health.

const STARTED = '2026-03-01T03:00:00.000Z';
const HOSTILE = '<img src=x onerror=alert(1)>'; // what peers send is text

export function status(seconds) {
    const wave = (i) => 1 + 0.5 * Math.sin(seconds / 3 + i);
    const count = (per_second, i = 0) => Math.round(per_second * (seconds + 3 * Math.sin(seconds / 3 + i)) + 1000);
    const route = (listener, name, action, target, per_second, errors, p50_us, p99_us, i) => ({
        listener, name, action, target, requests: count(per_second, i), errors: count(errors, i), refused: action === 'deny' ? count(per_second) : 0,
        bytes_in: count(per_second * 200, i), bytes_out: count(per_second * 4000, i),
        p50_us: Math.round(p50_us * wave(i)), p99_us: Math.round(p99_us * wave(i + 1)) });
    const listener = (name, bind, kind, mode, peers, per_second) => ({
        name, bind, kind, up: true, mode, owner: 0, group: 3000, peers, connections: Math.round(12 * wave(per_second)), idle: 4, limit: 1024,
        accepted: count(2), refused: 3, requests: count(per_second), in_flight: Math.round(6 * wave(1)), tunnels: 1, bytes_in: count(4000),
        bytes_out: count(80000), errors: count(0.4) });
    return {
        version: '0.1.0', pid: 4711, started: STARTED, uptime_s: Math.round(93784 + seconds), state: 'serving', ready: true, reasons: [], workers: 2,
        config: { file: '/etc/porthole/porthole.json', sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', loaded: STARTED,
                  reload: { state: 'ok', at: STARTED, errors: [], total: 4 } },
        listeners: [
            listener('docker', 'unix:/run/porthole/docker.sock', 'http', '0660', 'uid 1000, gid 3000', 180),
            listener('database', 'unix:/run/porthole/postgres.sock', 'stream', '0660', 'everybody', 2),
            { name: 'admin', bind: 'unix:/run/porthole/admin.sock', kind: 'admin', up: true, mode: '0600', owner: 0, group: 0, peers: 'uid 0', connections: 2, idle: 0, limit: 64 }],
        routes: [
            route('docker', 'read', 'target', 'docker', 140, 0.1, 420, 6100, 1),
            route('docker', 'create', 'target', 'docker', 4, 0.4, 88000, 940000, 2),
            route('docker', 'events', 'target', 'docker', 1, 0, 1200, 2400, 3),
            route('docker', 'ping', 'respond', '', 30, 0, 21, 90, 4),
            route('docker', 'old', 'redirect', '', 0.2, 0, 19, 70, 5),
            route('docker', 'rest', 'deny', '', 1.5, 0, 18, 60, 6),
            route('database', '', 'target', 'postgres', 2, 0, 700, 12000, 7)],
        targets: [
            { name: 'docker', balance: 'round_robin', max: 256, waiting: 0, endpoints: [
                { address: 'unix:/var/run/docker.sock', state: 'good', reason: '', since: STARTED, weight: 3, open: 14, idle: 6, requests: count(100), p50_us: 400 },
                { address: 'https://b.example:2376', state: 'ejected', reason: '5 failures in a row: 502', since: STARTED, weight: 1, open: 0, idle: 0, requests: 812, p50_us: 1900 }] },
            { name: 'postgres', balance: 'failover', max: 64, waiting: 2, endpoints: [
                { address: 'http://db-0:5432', state: 'good', reason: '', since: STARTED, weight: 1, open: 2, idle: 1, requests: count(2), p50_us: 700 },
                { address: 'http://db-1:5432', state: 'down', reason: 'connect: Connection refused', since: STARTED, weight: 1, open: 0, idle: 0, requests: 0 }] }],
        logs: { dropped: 0 },
    };
}

const SEEN = [
    ['GET', '/v1.44/containers/json?all=1', 200, 'forwarded', '', 'read', 'docker'], ['GET', '/v1.44/info', 200, 'forwarded', '', 'read', 'docker'],
    ['POST', '/v1.44/containers/create', 201, 'forwarded', '', 'create', 'docker'], ['GET', '/_ping', 200, 'responded', '', 'ping', ''],
    ['DELETE', '/v1.44/images/busybox', 403, 'denied', 'the route rest denies', 'rest', ''], ['GET', `/v1.44/${HOSTILE}`, 404, 'no_route', '', '', ''],
    ['POST', '/v1.44/containers/c0ffee/start', 502, 'bad_answer', 'the target closed in mid-head', 'create', 'docker'],
    ['GET', '/v1.44/containers/c0ffee/logs?follow=1', 504, 'response_timeout', 'no head within 60s', 'read', 'docker']];

export function exchange(n) {
    const [method, request, code, outcome, reason, route, target] = SEEN[(n * 7 + Math.floor(n / 9)) % SEEN.length];
    return { event: 'exchange', http: '1.1', time: new Date(Date.parse(STARTED) + n * 10).toISOString(), id: `${n}-1`, listener: 'docker',
             peer: `uid=${1000 + n % 3},pid=${4000 + n % 50}`, method, request, status: code, outcome, reason, route, target,
             endpoint: target && 'unix:/var/run/docker.sock', bytes_in: n % 700, bytes_out: 100 + n * 37 % 40000, total_us: 90 + n * 7919 % 900000, retries: 0 };
}

export function clients() {
    const client = (i, state, method, request, route) => ({ listener: 'docker', peer: `uid=1000,pid=${4000 + i}`, pid: 4000 + i, uid: 1000, since: STARTED, state,
        method, request, route, target: route ? 'docker' : '', age_us: 1000 * 17 ** i, bytes_in: 512 * i, bytes_out: 70000 * i });
    return { clients: [client(1, 'exchange', 'GET', '/v1.44/events', 'events'), client(2, 'tunnel', 'POST', '/v1.44/exec/abc/start', 'create'),
                       client(3, 'idle'), client(4, 'exchange', 'GET', `/v1.44/images/${HOSTILE}`, 'read')], omitted: 0 };
}
