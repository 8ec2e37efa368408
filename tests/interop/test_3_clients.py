"""Clients that leave, half-close, dribble, stall, or are many."""

import resource
import socket
import time

import peers
import wire
from porthole import Porthole
from tap import test

TIMES = 100
WIDTH = 10


def stop():
    raise EOFError("the connection ended")


class Watched:
    """A target that says what it sees of each request: "head", "body", "closed" (which must follow the client's leaving at
    once). `answer(connection)` does the rest; then it waits for the end."""

    def __init__(self, context, answer=None, read_body=True, **options):
        def script(connection, target):
            request = wire.Request(connection, body=False)
            target.mark("head")
            try:
                if read_body:
                    connection.body(request.fields)
                    target.mark("body")
                if answer:
                    answer(connection)
                while True:
                    connection.fill()
            except (EOFError, ConnectionError):
                target.mark("closed")

        self.target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
        healthy = peers.Target(context, f"unix:{context.path('healthy.sock')}", peers.echo)
        quick = {"connections": {"idle_timeout": "100ms"}}
        self.porthole = Porthole(
            context,
            {"/healthy": {"endpoints": [healthy.endpoint], **quick}, "/": {"endpoints": [self.target.endpoint], **quick}},
            **options,
        )
        self.address = self.porthole.address
        self.porthole.remember_fds()

    def check_leaving(self, send, mark, before_leaving=None):
        """WIDTH clients at a time: each sends, waits until the target has seen `mark`, and leaves. The target must see the
        end within a second."""
        slowest = 0.0
        with peers.Bystander(self.address) as bystander:
            for done in range(WIDTH, TIMES + 1, WIDTH):
                clients = [wire.client(self.address) for _ in range(WIDTH)]
                for client in clients:
                    client.send(send)
                self.target.await_count(mark, done)
                for client in clients:
                    if before_leaving:
                        before_leaving(client)
                watch = peers.Watch()
                for client in clients:
                    client.close()
                self.target.await_count("closed", done)
                slowest = max(slowest, watch.fair())
        bystander.check()
        assert slowest < 1, f"a target was let go {slowest:.2f} s after its client"
        self.porthole.check_outcomes("/leave", TIMES, "client_gone")
        self.porthole.check_fds()


@test("client leaves before its head: nothing is left")
def leave_before_head(context):
    watched = Watched(context)
    with peers.Bystander(watched.address) as bystander:
        for _ in range(TIMES):
            wire.client(watched.address).close()
    bystander.check()
    watched.porthole.check_fds()
    assert watched.target.n_accepted == 0


@test("client leaves in mid-head: nothing is forwarded, nothing is left")
def leave_in_head(context):
    watched = Watched(context)
    with peers.Bystander(watched.address) as bystander:
        for i in range(TIMES):
            head = wire.head("POST", "/leave", "Content-Length: 5")
            with wire.client(watched.address) as client:
                client.send(head[: 1 + i * (len(head) - 3) // TIMES])
    bystander.check()
    watched.porthole.check_fds()
    assert watched.target.n_accepted == 0


@test("client leaves in mid-body, sized: the target's connection is closed at once")
def leave_in_body(context):
    Watched(context).check_leaving(wire.head("POST", "/leave", "Content-Length: 100000") + b"x" * 1000, "head")


@test("client leaves in mid-body, chunked: the target's connection is closed at once and gets no last chunk")
def leave_in_chunked_body(context):
    watched = Watched(context)
    watched.check_leaving(wire.head("POST", "/leave", "Transfer-Encoding: chunked") + wire.chunk(b"x" * 1000), "head")
    assert watched.target.count("body") == 0, "the target took half a body for a whole one"


@test("client leaves while it waits for a GET: the target's connection is closed at once")
def leave_waiting(context):
    Watched(context).check_leaving(wire.head("GET", "/leave"), "body")


@test("client leaves while it waits after an upload: the target's connection is closed at once")
def leave_waiting_upload(context):
    Watched(context).check_leaving(wire.head("POST", "/leave", "Content-Length: 50000") + b"x" * 50_000, "body")


@test("client leaves in mid-response, the target silent: its connection is closed at once")
def leave_in_response(context):
    def answer(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 5000)

    Watched(context, answer).check_leaving(
        wire.head("GET", "/leave"), "body", lambda client: wire.Response(client, body=False) and client.exactly(5000)
    )


@test("client leaves in mid-response, the target streaming: its connection is closed at once")
def leave_in_stream(context):
    def answer(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(wire.chunk(b"x" * 50_000))
            time.sleep(0.005)

    Watched(context, answer).check_leaving(
        wire.head("GET", "/leave"), "body", lambda client: wire.Response(client, body=False) and client.exactly(100_000)
    )


# ---- half-close ----


def ask_half_closed(address, data, method="GET"):
    with wire.client(address) as client:
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        return wire.Response(client, method)


@test("half-close after a GET: the response arrives, from a fast and from a slow target")
def half_close_get(context):
    def script(connection, _target):
        while True:
            request = wire.Request(connection)
            time.sleep(0.3 if request.target == "/slow" else 0)
            connection.send(wire.answer(b"patience"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})

    def ask(i):
        for _ in range(5):
            path = "/slow" if i % 2 else "/fast"
            got = ask_half_closed(porthole.address, wire.head("GET", path))
            assert got.status == 200 and got.body == b"patience"

    peers.together(20, ask)
    porthole.check_outcomes("/slow", 50, "forwarded")
    porthole.check_outcomes("/fast", 50, "forwarded")


@test("half-close after a GET: a response streamed slowly arrives whole")
def half_close_stream(context):
    def script(connection, _target):
        wire.Request(connection)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            time.sleep(0.05)
            connection.send(wire.chunk(b"x" * 10_000))
        connection.send(b"0\r\n\r\n")

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    for got in peers.together(20, lambda _: ask_half_closed(porthole.address, wire.head("GET", "/"))):
        assert got.status == 200 and len(got.body) == 100_000, len(got.body)


@test("half-close after a whole upload to a target that reads slowly: the response arrives")
def half_close_upload(context):
    def script(connection, _target):
        request = wire.Request(connection, body=False)
        left = int(request.fields.get("content-length", 0))
        if left:
            left -= len(connection.ahead)
            while left > 0:
                left -= len(connection.sock.recv(min(left, 50_000)) or stop())
                time.sleep(0.005)
        else:
            for _ in connection.chunks():
                time.sleep(0.005)
        time.sleep(0.2)
        connection.send(wire.answer(b"all there", "Connection: close"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    body = b"x" * 1_500_000

    def ask(i):
        if i % 2:
            data = wire.head("POST", "/", f"Content-Length: {len(body)}") + body
        else:
            data = wire.head("POST", "/", "Transfer-Encoding: chunked") + wire.chunk(body[:50_000]) * 20 + b"0\r\n\r\n"
        got = ask_half_closed(porthole.address, data)
        assert got.status == 200 and got.body == b"all there", (i, got.status, got.body)

    peers.together(10, ask)
    porthole.check_outcomes("/", 10, "forwarded")


@test("half-close in mid-head and in mid-body: the exchange ends, nothing is left")
def half_close_early(context):
    watched = Watched(context, listener={"timeouts": {"head": "2s", "body": "2s", "idle": "2s"}})
    for part in (b"GET /leave HT", wire.head("POST", "/leave", "Content-Length: 1000") + b"x" * 10):
        for _ in range(10):
            client = wire.client(watched.address)
            client.send(part)
            client.sock.shutdown(socket.SHUT_WR)
            try:
                while client.sock.recv(1000):
                    pass
            except ConnectionError:
                pass
            client.close()
    assert watched.target.count("body") == 0, "the target took half a body for a whole one"
    watched.porthole.check_fds()
    assert not any(e["outcome"] == "forwarded" for e in watched.porthole.entries("/leave"))


# ---- slow ----


@test("client slow by single bytes, head and body: served")
def slow_request(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})

    def ask(i):
        with wire.client(porthole.address) as client:
            if i % 2:
                wire.dribble(client.sock, wire.head("POST", "/", "Content-Length: 100") + b"y" * 100)
            else:
                wire.dribble(client.sock, wire.head("POST", "/", "Transfer-Encoding: chunked"))
                wire.dribble(client.sock, wire.chunk(b"y" * 50) * 2 + b"0\r\n\r\n")
            assert wire.Response(client).body == b"y" * 100

    with peers.Bystander(porthole.address, "/other") as bystander:
        peers.together(20, ask)
    bystander.check()


@test("client that reads single bytes: gets all of its response")
def slow_reader(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    body = bytes(range(256)) * 4

    def ask(_):
        with wire.client(porthole.address) as client:
            client.send(wire.head("POST", "/", f"Content-Length: {len(body)}", "X-Answer: chunked") + body)
            careful = wire.Careful(client.sock)
            careful.pause = 0.0005
            assert wire.Response(careful).body == body

    peers.together(20, ask)


@test("client that never finishes its head: 408 head_timeout")
def head_timeout(context):
    watched = Watched(context, listener={"timeouts": {"head": "500ms"}})

    def ask(_):
        with wire.client(watched.address) as client:
            watch = peers.Watch()
            client.send(b"GET /leave HTTP/1.1\r\nHost: x\r\nX-")
            try:
                assert wire.Response(client).status == 408
            except (EOFError, ConnectionError):
                pass  # a head that trickles in need not be answered, only ended
            watch.check(0, 3)

    peers.together(20, ask)
    watched.porthole.check_fds()


@test("client that stops in mid-body: 408 body_timeout, the target's connection closed")
def body_timeout(context):
    watched = Watched(context, listener={"timeouts": {"body": "500ms"}})

    def ask(_):
        with wire.client(watched.address) as client:
            client.send(wire.head("POST", "/leave", "Content-Length: 1000") + b"x" * 10)
            assert wire.Response(client).status == 408

    peers.together(20, ask)
    watched.target.await_count("closed", 20)
    watched.porthole.check_outcomes("/leave", 20, "body_timeout")
    watched.porthole.check_fds()


@test("client that does not take its response: cut after timeouts.body, client_stalled")
def not_reading(context):
    def answer(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            connection.send(b"x" * 100_000)

    watched = Watched(context, answer, listener={"timeouts": {"body": "700ms"}})
    with peers.Bystander(watched.address) as bystander:
        clients = [wire.client(watched.address) for _ in range(20)]
        for client in clients:
            client.send(wire.head("GET", "/leave"))
        watched.target.await_count("closed", 20)
    bystander.check()
    watched.porthole.check_outcomes("/leave", 20, "client_stalled")
    watched.porthole.check_fds()
    for client in clients:
        client.close()


# ---- many ----


@test("a thousand idle connections, then a request on each")
def thousand(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": {"idle_timeout": "100ms"}}},
                        listener={"limits": {"connections": 1100}})
    porthole.remember_fds()
    n = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    clients = [wire.client(porthole.address) for _ in range(n)]
    time.sleep(0.5)
    for round_number in range(2):
        for client in clients:
            client.send(wire.head("GET", f"/{round_number}"))
        for client in clients:
            assert wire.Response(client).status == 200
    for client in clients:
        client.close()
    porthole.check_fds()
    context.note(f"{n} connections, {porthole.rss_kib()} KiB resident")


@test("limits.connections reached: the next waits in the backlog and is served when one leaves")
def connection_limit(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    for workers in (1, 2):
        porthole = Porthole(context, {"/": target.endpoint}, listener={"limits": {"connections": 4}}, workers=workers,
                            name=f"porthole{workers}")
        held = [wire.client(porthole.address) for _ in range(4)]
        for client in held:  # who is answered is in: of those that come at once, another worker's may come first
            client.send(wire.head())
            assert wire.Response(client).status == 200
            client.send(b"GET / HTTP/1.1\r\n")  # who has begun a request makes no room
        waiting = [wire.client(porthole.address, timeout=0.3) for _ in range(4)]
        for client in waiting:
            client.send(wire.head())
        try:
            waiting[0].fill()
            raise AssertionError("a connection above the limit was served")
        except TimeoutError:
            pass
        watch = peers.Watch()
        for client in held:
            client.close()
        for client in waiting:
            client.sock.settimeout(5)
            assert wire.Response(client).status == 200
        watch.check(0, 1.5)
        for client in waiting:
            client.close()
        porthole.stop()


@test("idle clients are let go after timeouts.idle, and not before")
def idle_timeout(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint}, listener={"timeouts": {"idle": "3s"}})
    clients = [wire.client(porthole.address) for _ in range(10)]
    for _ in range(3):
        watch = peers.Watch()
        for client in clients:
            client.send(wire.head())
            assert wire.Response(client).status == 200
        time.sleep(1.2)
    for client in clients:
        assert client.sock.recv(1) == b"", "an idle connection got something"
    watch.check(2.75, 8)


@test("pipelined requests are answered in order")
def pipelined(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client:
        client.send(b"".join(wire.head("POST", f"/{i}", "Content-Length: 3") + b"%03d" % i for i in range(100)))
        for i in range(100):
            got = wire.Response(client)
            assert got.status == 200 and got.body == b"%03d" % i and got.fields["x-target"] == f"/{i}", (i, got.body)
