"""Many clients at once, each with bodies of its own: nobody gets another's."""

import random

import peers
import wire
from porthole import Porthole
from tap import test

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT")
CLIENTS = 32
REQUESTS = 40


class Client:
    """Random requests, always the same for one number."""

    def __init__(self, address, number):
        self.address, self.number, self.random = address, number, random.Random(number)
        self.wire = None

    def body(self):
        size = self.random.choice((0, 1, 100, 5000, self.random.randrange(70_000), self.random.randrange(300_000)))
        return self.random.randbytes(size)

    def send(self, method, target, body, keep):
        lines = [f"X-Number: {self.number}"] + ([] if keep else ["Connection: close"])
        if self.random.random() < 0.5:
            lines.append("X-Answer: chunked")
        if body and self.random.random() < 0.5:
            self.wire.send(wire.head(method, target, "Transfer-Encoding: chunked", *lines))
            while body:
                n = self.random.randrange(1, 50_000)
                self.wire.send(wire.chunk(body[:n]))
                body = body[n:]
            self.wire.send(b"0\r\n\r\n")
        else:
            length = [f"Content-Length: {len(body)}"] if body or method in ("POST", "PUT", "PATCH") else []
            self.wire.send(wire.head(method, target, *length, *lines) + body)

    def ask(self, i):
        method = self.random.choice(METHODS)
        body = b"" if method in ("GET", "HEAD") else self.body()
        target = f"/{self.number}/{i}?{self.random.randrange(1 << 60)}"
        keep = self.random.random() < 0.7
        self.wire = self.wire or wire.client(self.address, timeout=20)
        self.send(method, target, body, keep)
        got = wire.Response(self.wire, method)
        assert got.status == 200, (method, target, got.status, got.body)
        assert got.fields["x-target"] == target and got.fields["x-method"] == method, (target, got.fields)
        assert got.body == body, f"{method} {target}: {len(got.body)} bytes instead of {len(body)}, or other ones"
        if not keep or got.fields.get("connection") == "close":
            self.wire.close()
            self.wire = None

    def run(self):
        for i in range(REQUESTS):
            self.ask(i)
        if self.wire:
            self.wire.close()


def make_integrity_test(workers):
    def run(context):
        target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
        # Fewer connections than clients, so that they are shared and waited for.
        routes = {"/": {"endpoints": [target.endpoint], "connections": {"max": 20, "idle": 10, "idle_timeout": "100ms"},
                        "timeouts": {"connect": "20s"}}}
        porthole = Porthole(context, routes, workers=workers)
        porthole.remember_fds()
        peers.together(CLIENTS, lambda i: Client(porthole.address, i).run())
        assert not target.errors, target.errors
        porthole.await_entries(None, CLIENTS * REQUESTS, 20)
        porthole.check_all_forwarded()
        assert len(porthole.entries()) == CLIENTS * REQUESTS
        porthole.check_fds()

    test(f"{CLIENTS} clients with random methods and bodies, workers {workers}: everybody gets his own", 60)(run)


for _workers in (1, 2):
    make_integrity_test(_workers)
