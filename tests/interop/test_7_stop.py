"""Stop and takeover under load: nobody loses a request."""

import os
import socket
import threading
import time

import peers
import wire
from porthole import Porthole
from tap import test


def patient(connection, target):
    """Takes its time over /slow, and streams it."""
    while True:
        request = wire.Request(connection)
        target.mark("request")
        if request.target.startswith("/slow"):
            time.sleep(10 if request.target.endswith("/cut") else 0.5)
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(5):
                connection.send(wire.chunk(b"x" * 1000))
                time.sleep(0.1)
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(wire.answer(request.body))


@test("SIGTERM while requests run: each gets its answer, exit status 0, the path is gone")
def stop_finishes(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", patient)
    porthole = Porthole(context, {"/": target.endpoint})
    clients = [wire.client(porthole.address) for _ in range(20)]
    for i, client in enumerate(clients):
        client.send(wire.head("GET", f"/slow/{i}"))
    uploading = wire.client(porthole.address)
    uploading.send(wire.head("POST", "/upload", "Content-Length: 100000") + b"u" * 50_000)
    target.await_count("request", 20)
    watch = peers.Watch()
    os.kill(porthole.pid, 15)
    time.sleep(0.2)
    uploading.send(b"u" * 50_000)
    got = wire.Response(uploading)
    assert got.status == 200 and len(got.body) == 100_000
    for client in clients:
        got = wire.Response(client)
        assert got.status == 200 and len(got.body) == 5000, (got.status, got.body)
    assert porthole.process.wait(5) == 0
    watch.check(0, 5, "a stop of no longer than its requests")
    assert not os.path.exists(context.path("app.sock"))
    porthole.check_all_forwarded()


@test("SIGTERM: idle keep-alive connections are closed, and don't delay it")
def stop_idle(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", patient)
    porthole = Porthole(context, {"/": target.endpoint})
    clients = [wire.client(porthole.address) for _ in range(20)]
    silent = [wire.client(porthole.address) for _ in range(20)]
    for client in clients:
        client.send(wire.head())
        assert wire.Response(client).status == 200
    watch = peers.Watch()
    porthole.stop(5)
    watch.check(0, 3)
    for client in clients + silent:
        assert client.sock.recv(1) == b""


@test("SIGTERM: answers after it say Connection: close")
def stop_says_close(context):
    may_answer = threading.Event()

    def script(connection, target):
        wire.Request(connection)
        target.mark("request")
        assert may_answer.wait(20)
        connection.send(wire.answer(b"ok"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/slow"))
        target.await_count("request", 1)
        os.kill(porthole.pid, 15)
        # The workers know of it before the path goes.
        peers.until(lambda: not os.path.exists(context.path("app.sock")), 10, "the end of the path")
        may_answer.set()
        got = wire.Response(client)
        assert got.status == 200 and got.fields.get("connection") == "close", got.fields
    assert porthole.process.wait(5) == 0


@test("SIGTERM: who waits in the backlog of a full house is served before the end")
def stop_backlog(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", patient)
    porthole = Porthole(context, {"/": target.endpoint}, listener={"limits": {"connections": 2}})
    clients = [wire.client(porthole.address) for _ in range(6)]
    for client in clients:
        client.send(wire.head("GET", "/slow"))
    target.await_count("request", 2)
    os.kill(porthole.pid, 15)

    def ask(i):
        assert wire.Response(clients[i]).status == 200
        clients[i].close()

    peers.together(6, ask)
    assert porthole.process.wait(5) == 0


@test("drain deadline: what is not finished then is cut, exit status 0")
def deadline(context):
    def script(connection, _target):
        wire.Request(connection)
        time.sleep(20)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint}, drain="1s")
    client = wire.client(porthole.address)
    client.send(wire.head("GET", "/never"))
    time.sleep(0.2)
    watch = peers.Watch()
    porthole.stop(6)
    watch.check(0.75, 3)
    try:
        assert wire.Response(client).status == 503
    except (EOFError, ConnectionError):
        pass
    assert [entry["outcome"] for entry in porthole.entries("/never")] == ["stopped"]


@test("SIGHUP while it is stopping changes nothing; a second SIGTERM ends it at once, exit status 0")
def signals(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", patient)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/slow"))
        target.await_count("request", 1)
        for number in (15, 1):
            os.kill(porthole.pid, number)
            time.sleep(0.05)
        assert wire.Response(client).status == 200
    porthole = Porthole(context, {"/": target.endpoint}, name="second")
    with wire.client(porthole.address) as cut:
        cut.send(wire.head("GET", "/slow/cut"))
        target.await_count("request", 2)
        os.kill(porthole.pid, 15)
        peers.until(lambda: "stopping: " in porthole.output(), 10)
        time.sleep(1.2)  # sooner it would be the same wish
        watch = peers.Watch()
        os.kill(porthole.pid, 15)
        assert porthole.process.wait(5) == 0
        watch.check(0, 0.8, "the end after a second signal")
    porthole.check_outcomes("/slow/cut", 1, "stopped")


class Loop:
    """A client that asks and asks; keep-alive or a connection for each request. Nothing may fail."""

    def __init__(self, address, number, insistent):
        self.address, self.number, self.keep = address, number, number % 2 == 0
        self.insistent, self.n_done, self.wire = insistent, 0, None

    def connect(self):
        """An insistent one comes back when nobody is there, which is no request that failed."""
        end = time.monotonic() + 10
        while True:
            try:
                return wire.client(self.address)
            except (FileNotFoundError, ConnectionRefusedError):
                if not self.insistent or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def once(self):
        body = b"%d/%d" % (self.number, self.n_done)
        self.wire = self.wire or self.connect()
        lines = [] if self.keep else ["Connection: close"]
        self.wire.send(wire.head("POST", "/", f"Content-Length: {len(body)}", *lines) + body)
        got = wire.Response(self.wire)
        assert got.status == 200 and got.body == body, (got.status, got.body)
        self.n_done += 1
        if not self.keep or got.fields.get("connection") == "close":
            self.wire.close()
            self.wire = None

    def run(self, ended):
        while not ended.is_set():
            self.once()
            if self.number % 5 == 0:
                time.sleep(0.02)  # now and then idle when it happens
        if self.wire:
            self.wire.close()


def under_load(context, address, happen, insistent=False):
    """Lets 20 clients ask while something happens. All of their requests must be answered."""
    ended, loops = threading.Event(), [Loop(address, i, insistent) for i in range(20)]
    errors = []

    def run(loop):
        try:
            loop.run(ended)
        except (OSError, EOFError, AssertionError) as error:
            kind = "keep-alive" if loop.keep else "fresh"
            errors.append(f"{kind} client {loop.number}, request {loop.n_done}: {error!r}")

    threads = [threading.Thread(target=run, args=(loop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        happen()
        time.sleep(0.3)
    finally:
        ended.set()
        for thread in threads:
            thread.join(15)
    n_done = sum(loop.n_done for loop in loops)
    context.note(f"{n_done} requests")
    assert not errors, f"{len(errors)} of {n_done} requests failed: {errors[:6]}"
    assert all(loop.n_done > 0 for loop in loops)


def make_takeover_test(workers):
    def run(context):
        target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
        first = Porthole(context, {"/": target.endpoint}, workers=workers, name="p0")
        generations = [first]

        def happen():
            for i in range(1, 6):
                generations.append(Porthole(context, {"/": target.endpoint}, workers=workers, name=f"p{i}", arguments=["--takeover"]))
                assert generations[-2].process.wait(10) == 0, generations[-2].output()
                time.sleep(0.1)

        under_load(context, first.address, happen)
        assert generations[-1].process.poll() is None

    test(f"takeover five times under load, workers {workers}: no request fails, the old ones end", 60)(run)


for _workers in (1, 2):
    make_takeover_test(_workers)


@test("stop and start five times under load: only connecting may fail, no request does", 60)
def restart(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    generations = [Porthole(context, {"/": target.endpoint}, name="p0")]

    def happen():
        for i in range(1, 6):
            generations[-1].stop()
            generations.append(Porthole(context, {"/": target.endpoint}, name=f"p{i}"))
            time.sleep(0.2)

    under_load(context, generations[0].address, happen, insistent=True)


@test("takeover: requests under way are finished by the old process")
def takeover_finishes(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", patient)
    old = Porthole(context, {"/": target.endpoint}, name="old")
    with wire.client(old.address) as client:
        client.send(wire.head("GET", "/slow"))
        target.await_count("request", 1)
        new = Porthole(context, {"/": target.endpoint}, name="new", arguments=["--takeover"])
        got = wire.Response(client)
        assert got.status == 200 and len(got.body) == 5000
    assert old.process.wait(5) == 0
    assert os.path.exists(context.path("app.sock")), "the old process has removed the new one's socket"
    assert wire.exchange(new.address).status == 200


@test("a second porthole without --takeover refuses to start, and the first is not disturbed")
def second_refused(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    first = Porthole(context, {"/": target.endpoint}, name="first")

    def happen():
        try:
            Porthole(context, {"/": target.endpoint}, name="second")
        except AssertionError as error:
            assert "porthole ended" in str(error), error
            return
        raise AssertionError("a second one has started")

    under_load(context, first.address, happen)


@test("restart after SIGKILL: the stale socket is replaced")
def after_kill(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    first = Porthole(context, {"/": target.endpoint}, name="first")
    first.kill()
    assert os.path.exists(context.path("app.sock"))
    second = Porthole(context, {"/": target.endpoint}, name="second")
    assert wire.exchange(second.address).status == 200
    second.stop()


@test("the socket's file removed, five times: it comes back, connected clients notice nothing")
def removed(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as kept:
        for _ in range(5):
            os.unlink(context.path("app.sock"))
            peers.until(lambda: os.path.exists(context.path("app.sock")), 20, "the socket's return")
            assert wire.exchange(porthole.address).status == 200
            kept.send(wire.head())
            got = wire.Response(kept)
            assert (got.status, got.fields.get("connection")) == (200, None)
    porthole.stop()
    assert not os.path.exists(context.path("app.sock"))


@test("SIGTERM while clients of an unread response and of half a request hang on: the end comes by the deadline")
def stop_with_stuck_clients(context):
    def script(connection, _target):
        wire.Request(connection)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        connection.send(b"x" * 10_000_000)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint}, drain="1s")
    unread, half, started = [wire.client(porthole.address) for _ in range(3)]
    unread.send(wire.head())
    half.send(wire.head("POST", "/", "Content-Length: 100") + b"half")
    started.send(b"GET / HT")
    time.sleep(0.3)
    watch = peers.Watch()
    porthole.stop(6)
    watch.check(0, 4)
    for client in (unread, half, started):
        client.sock.shutdown(socket.SHUT_RDWR)
        client.close()
