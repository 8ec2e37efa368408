"""Clients at work, as a process of its own: clients.py JSON, until SIGTERM; then each finishes what it has begun.

JSON: {"http": [ADDRESS...], "streams": [ADDRESS...], "tunnels": SECONDS (0: for the whole run)}.
What they do all the time, and what must be true of it:

  - keep    asks again and again on one connection. When that was closed before it had sent anything it takes another one. When
            it was closed without a byte of the answer, a request that may be sent twice is (RFC 9112 9.3.1). Both are counted.
  - probe   connects, asks, and reads to the end, each time anew: the path is there, somebody accepts, and answers.
  - upload  bodies of many sizes, one of them slowly; the target's SHA-256 must be ours.
  - stream  bytes through a stream listener, which come back.
  - tunnel  an Upgrade, then pings, each answered.
  - reader  a large answer, read slowly.

Everything else that happens is a failure. It prints JSON: what was done, by kind, and each failure with its time and cause."""

import collections
import hashlib
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))

import target as application  # noqa: E402  beside this file
import wire  # noqa: E402  needs the path above

MOST_TOLD = 40
LATEST_S = 20
SIZES = (0, 1, 4096, 65_536, 300_000, 2 << 20)



class Crew:
    """What all clients count into."""

    def __init__(self, plan):
        self.plan, self.over, self.lock = plan, threading.Event(), threading.Lock()
        self.done, self.again, self.failures = collections.Counter(), collections.Counter(), []
        self.n_failures = collections.Counter()
        self.latest = 0.0

    def end(self):
        self.latest = time.monotonic() + LATEST_S
        self.over.set()

    def goes_on(self, kind):
        """Whoever has done nothing yet may finish something first: a tunnel takes a second, in which it may have been cut."""
        return not self.over.is_set() or (not self.done[kind] and time.monotonic() < self.latest)

    def count(self, what):
        with self.lock:
            self.done[what] += 1

    def count_again(self, what):
        with self.lock:
            self.again[what] += 1

    def fail(self, who, error):
        kind = "lost" if isinstance(error, (OSError, EOFError)) else "wrong"
        with self.lock:
            self.n_failures[kind] += 1
            if kind == "wrong" or len(self.failures) < MOST_TOLD:
                self.failures.append({"who": who, "kind": kind, "cause": repr(error), "at": time.monotonic()})

    def report(self):
        return {"done": self.done, "again": self.again, "n_failures": self.n_failures, "failures": self.failures}


class Counting(wire.Wire):
    """Knows whether anything of an answer has come."""

    n_read = 0

    def fill(self):
        before = len(self.ahead)
        super().fill()
        self.n_read += len(self.ahead) - before

    def was_closed(self):
        """By the other side, before we say anything more."""
        if not select.select([self.sock], [], [], 0)[0]:
            return False
        try:
            data = self.sock.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True
        assert not data, "bytes that nobody asked for"
        return True


class Client:
    """One thread that does one thing again and again."""

    kind = "?"

    def __init__(self, crew, address, number):
        self.crew, self.address, self.number = crew, address, number
        self.rng, self.n = random.Random(number), 0
        self.wire, self.answered = None, 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def connect(self):
        try:
            return Counting(wire.connect(self.address, 30))
        except OSError as error:
            raise type(error)(error.errno, f"while connecting: {error.strerror or error}") from None

    def drop(self):
        if self.wire:
            self.wire.close()
        self.wire = None

    def run(self):
        while self.crew.goes_on(self.kind):
            try:
                self.once()
                self.crew.count(self.kind)
            except Exception as error:  # pylint: disable=broad-except
                self.crew.fail(f"{self.kind} at {self.address}", error)
                self.drop()
                time.sleep(0.01)
        self.drop()

    def ask(self, head, body=b"", method="GET", twice=True):
        """On the connection that is there, if any. `twice`: whether the request may be sent again."""
        while True:
            if self.wire and self.wire.was_closed():
                self.crew.count_again("closed before a request")
                self.drop()
            fresh = self.wire is None
            self.wire = self.wire or self.connect()
            self.wire.n_read, begun = 0, time.monotonic()
            try:
                n_sent = self.wire.sock.send(head)
            except BrokenPipeError:  # closed in this very moment: nothing has left
                self.crew.count_again("closed before a request")
                self.drop()
                continue
            try:
                if n_sent < len(head):
                    self.wire.send(head[n_sent:])
                if body:  # else what may have been closed since is an answered connection
                    self.send_body(body)
                got = wire.Response(self.wire, method)
            except (ConnectionError, EOFError) as error:
                if fresh or not twice or self.wire.n_read > 0:
                    idle = "its first request" if fresh else f"{begun - self.answered:.4f} s after an answer"
                    raise EOFError(f"{error!r} with {self.wire.n_read} bytes of an answer, {idle}") from None
                self.crew.count_again("sent twice")
                self.drop()
                continue
            if got.fields.get("connection", "").lower() == "close":
                self.crew.count_again("told to close")
                self.drop()
            self.answered = time.monotonic()
            return got

    def send_body(self, body):
        self.wire.send(body)

    def rest(self, *seconds):
        self.crew.over.wait(self.rng.choice(seconds))


class Keep(Client):
    kind = "keep"

    def once(self):
        body = b"%d/%d" % (self.number, self.n)
        self.n += 1
        twice = self.n % 2 == 0
        got = self.ask(wire.head("PUT" if twice else "POST", "/echo", f"Content-Length: {len(body)}") + body, twice=twice)
        assert got.status == 200 and got.body == body, (got.status, got.body[:200])
        self.rest(0, 0, 0.001, 0.01, 0.2)


class Probe(Client):
    kind = "probe"

    def once(self):
        self.n += 1
        with self.connect() as connection:
            connection.send(wire.head("GET", "/echo", "Connection: close"))
            got = wire.Response(connection)
            assert got.status == 200, (got.status, got.body[:200])
        self.rest(0, 0.001, 0.004)


class Upload(Client):
    kind = "upload"

    def once(self):
        self.slow = self.n % 7 == 3
        body = self.rng.randbytes(100_000 if self.slow else SIZES[self.n % len(SIZES)])
        chunked = self.n % 2 == 1 and not self.slow
        self.n += 1
        lines = ("Transfer-Encoding: chunked",) if chunked else (f"Content-Length: {len(body)}",)
        data = (wire.chunk(body) if body else b"") + b"0\r\n\r\n" if chunked else body
        got = self.ask(wire.head("POST", "/sum", *lines), data, "POST", twice=False)
        assert got.status == 200, (got.status, got.body[:200])
        assert got.body.decode() == hashlib.sha256(body).hexdigest(), f"another sum of {len(body)} bytes"
        self.rest(0.01, 0.05)

    def send_body(self, body):
        step = 5000 if self.slow else len(body) or 1
        for begin in range(0, len(body), step):
            self.wire.send(body[begin:begin + step])
            if self.slow:
                time.sleep(0.03)


class Stream(Client):
    kind = "stream"

    def once(self):
        with self.connect() as connection:
            for _ in range(5):
                data = self.rng.randbytes(self.rng.choice((1, 1000, 60_000)))
                connection.send(data)
                assert connection.exactly(len(data)) == data, "other bytes"
                self.rest(0, 0.02, 0.1)
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.sock.recv(1) == b"", "more than was sent"


class Tunnel(Client):
    kind = "tunnel"

    def once(self):
        with self.connect() as connection:
            connection.send(wire.head("GET", "/tunnel", "Connection: Upgrade", "Upgrade: endure"))
            got = wire.Response(connection, body=False)
            assert got.status == 101, got.status
            seconds = self.crew.plan["tunnels"]
            end = time.monotonic() + seconds if seconds else float("inf")
            while time.monotonic() < end and not self.crew.over.is_set():
                self.n += 1
                ping = b"ping %d\n" % self.n
                connection.send(ping)
                assert connection.exactly(len(ping)) == ping, "another pong"
                self.crew.count("ping")
                self.rest(0.02)
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.sock.recv(1) == b"", "more than was sent"


class Reader(Client):
    kind = "reader"

    def once(self):
        size = 1_500_000 + self.n
        self.n += 1
        with self.connect() as connection:
            connection.send(wire.head("GET", f"/large/{size}", "Connection: close"))
            got = wire.Response(connection, body=False)
            assert got.status == 200, got.status
            position = 0
            while position < size:
                piece = connection.exactly(min(50_000, size - position))
                offset = position % 251
                assert application.PATTERN[offset:offset + len(piece)] == piece, f"other bytes at {position}"
                position += len(piece)
                time.sleep(0.02)


def hire(crew):
    """Some of each kind at each address."""
    clients = []
    for address in crew.plan["http"]:
        kinds = [Keep] * 6 + [Probe] * 2 + [Upload, Tunnel, Reader]
        clients += [kind(crew, address, len(clients) + i) for i, kind in enumerate(kinds)]
    for address in crew.plan["streams"]:
        clients += [Stream(crew, address, len(clients) + i) for i in range(2)]
    return clients


def main():
    crew = Crew(json.loads(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: crew.end())
    clients = hire(crew)
    for client in clients:
        client.thread.start()
    print("at work", flush=True)
    while not crew.over.wait(0.5):
        pass
    for client in clients:
        client.thread.join(40)
        if client.thread.is_alive():
            crew.fail(f"{client.kind} at {client.address}", TimeoutError("it hangs at the end"))
    print(json.dumps(crew.report()))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
