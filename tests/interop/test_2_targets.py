"""Targets in bad weather. Each misbehaviour is met 50 times: the right status, the right outcome, nothing left open, and
another client of a healthy target notices nothing."""

import os
import random
import resource
import socket
import threading
import time

import peers
import wire
from porthole import Porthole, need_root
from tap import test

TIMES = 50
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 100\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Weather:
    """porthole in front of a healthy target and one under test, which is "/bad"."""

    def __init__(self, context, endpoint, user=None, **timeouts):
        healthy = peers.Target(context, f"unix:{context.path('healthy.sock')}", peers.echo)
        if user:
            os.chmod(context.path("healthy.sock"), 0o666)
        quick = {"connections": {"idle_timeout": "100ms", "max": 500}}
        timeouts = {"connect": "5s", "response": "5s", "idle": "5s", **timeouts}
        self.porthole = Porthole(
            context,
            {
                "/bad": {"endpoints": [endpoint], "timeouts": timeouts, **quick},
                "/healthy": {"endpoints": [healthy.endpoint], **quick},
            },
            user=user,
        )
        self.address = self.porthole.address
        self.porthole.remember_fds()

    def check(self, ask, outcomes, times=TIMES, width=5):
        """`ask()` is called by `width` clients at a time."""
        with peers.Bystander(self.address) as bystander:
            peers.together(width, lambda _: [ask() for _ in range(times // width)])
        bystander.check()
        self.porthole.check_outcomes("/bad", times // width * width, outcomes)
        self.porthole.check_fds()
        assert self.porthole.process.poll() is None, self.porthole.output()

    def check_status(self, status, outcomes, method="GET", body=b"", **options):
        def ask():
            got = wire.exchange(self.address, method, "/bad", body=body)
            assert got.status == status, f"status {got.status}, not {status}: {got.body[:300]}"

        self.check(ask, outcomes, **options)

    def ask_truncated(self, method="GET", body=b""):
        """The answer has begun, and can't be mistaken for a whole one."""
        try:
            got = wire.exchange(self.address, method, "/bad", body=body)
        except (EOFError, ConnectionError):
            return
        raise AssertionError(f"status {got.status} with a body that looks whole: {got.body[:100]}")


# ---- no connection ----


@test("target absent: 503 target_absent")
def absent(context):
    Weather(context, f"unix:{context.path('nothing.sock')}").check_status(503, "target_absent")


@test("target refusing, a file that a dead process left: 503 target_refused")
def stale(context):
    peers.listen(f"unix:{context.path('stale.sock')}").close()
    Weather(context, f"unix:{context.path('stale.sock')}").check_status(503, "target_refused")


@test("target refusing, not a socket at all: 503 target_refused")
def not_a_socket(context):
    with open(context.path("file"), "w", encoding="ascii"):
        pass
    Weather(context, f"unix:{context.path('file')}").check_status(503, "target_refused")


@test("target of another user, mode 0600: 503 target_denied")
def denied(context):
    need_root()
    peers.Target(context, f"unix:{context.path('bad.sock')}", peers.echo)
    os.chmod(context.path("bad.sock"), 0o600)
    os.chmod(context.dir, 0o777)
    Weather(context, f"unix:{context.path('bad.sock')}", user=65534).check_status(503, "target_denied")


def fill(context, address, backlog):
    """A listener that nobody accepts on, its backlog full."""
    listening = peers.listen(address, backlog)
    context.callback(listening.close)
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        context.callback(sock.close)
        try:
            sock.connect(address[len("unix:") :])
        except BlockingIOError:
            return listening


@test("target whose backlog of 1 stays full: 503 target_full after timeouts.connect")
def backlog_full(context):
    fill(context, f"unix:{context.path('full.sock')}", 1)
    weather = Weather(context, f"unix:{context.path('full.sock')}", connect="1500ms")

    def ask():
        watch = peers.Watch()
        got = wire.exchange(weather.address, "GET", "/bad")
        assert got.status == 503, got.status
        watch.check(1.4, 4)

    weather.check(ask, "target_full", width=25)


@test("target whose backlog of 1 drains in time: everybody is served")
def backlog_drains(context):
    listening = fill(context, f"unix:{context.path('full.sock')}", 1)
    weather = Weather(context, f"unix:{context.path('full.sock')}", connect="8s")

    def drain():
        time.sleep(0.7)
        listening.settimeout(0.5)
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            sock.settimeout(0.5)
            try:
                connection = wire.Wire(sock)
                wire.Request(connection)
                connection.send(wire.answer(b"at last", "Connection: close"))
            except (OSError, EOFError):
                pass
            sock.close()

    drainer = threading.Thread(target=drain, daemon=True)
    drainer.start()
    weather.check_status(200, "forwarded", times=20, width=20)
    drainer.join(10)


# ---- ending too early, with end of file and with reset ----


def ending(sent, how):
    """A script that reads the request's head, sends something and ends the connection. Leaving the body unread makes the end
    of a Unix connection a reset; TCP has SO_LINGER for it."""

    def script(connection, _target):
        request = wire.Request(connection, body=False)
        if how == "close":
            connection.body(request.fields)
        else:
            connection.sock.recv(1, socket.MSG_PEEK)  # else porthole might see a broken pipe and no reset
        if sent:
            connection.send(sent)
            time.sleep(0.02)
        if how == "reset" and connection.sock.family != socket.AF_UNIX:
            peers.reset(connection)

    return script


def one_byte_reader(script):
    """Takes only the head from the socket, so that the body stays unread in the kernel."""
    return lambda connection, target: script(wire.Careful(connection.sock), target)


STAGES = (
    # name, what was sent until the end, status (None: cut in mid-body), outcome after close, after reset
    ("before its answer", b"", 502, "target_closed", "target_reset"),
    ("in the status line", b"HTTP/1.1 20", 502, "bad_response", "target_reset"),
    ("in the fields", HEAD + b"X-Field: val", 502, "bad_response", "target_reset"),
    ("after 100 Continue", b"HTTP/1.1 100 Continue\r\n\r\n", 502, "target_closed", "target_reset"),
    ("between head and body", SIZED, None, "target_truncated", "target_truncated"),
    ("in a sized body", SIZED + b"x" * 99, None, "target_truncated", "target_truncated"),
    ("in a chunk size", CHUNKED + b"5\r\nabcde\r\n1", None, "target_truncated", "target_truncated"),
    ("in a chunk", CHUNKED + b"50\r\nabcde", None, "target_truncated", "target_truncated"),
    ("between chunks", CHUNKED + b"5\r\nabcde\r\n", None, "target_truncated", "target_truncated"),
    ("in the trailers", CHUNKED + b"5\r\nabcde\r\n0\r\nX-T: 1\r\n", None, "target_truncated", "target_truncated"),
    ("in a body that lasts until the close", HEAD + b"\r\nabc", 200, "forwarded", "target_truncated"),
    ("after its answer", HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", 200, "forwarded", "forwarded"),
)


def make_ending_test(kind, how, stage, sent, status, outcome):
    def run(context):
        address = f"unix:{context.path('bad.sock')}" if kind == "unix" else "tcp:127.0.0.1:0"
        target = peers.Target(context, address, one_byte_reader(ending(sent, how)))
        weather = Weather(context, target.endpoint)
        if outcome == "target_truncated":
            weather.check(lambda: weather.ask_truncated("POST", b"unread"), outcome)
        else:
            weather.check_status(status, outcome, "POST", b"unread")
        assert not target.errors, target.errors

    verb = "closes" if how == "close" else "resets"
    test(f"target ({kind}) {verb} {stage}: {'cut' if outcome == 'target_truncated' else status} {outcome}")(run)


for _kind, _how in (("unix", "close"), ("unix", "reset"), ("tcp", "reset")):
    for _stage, _sent, _status, _closed, _reset in STAGES:
        _outcome = _closed if _how == "close" else _reset
        make_ending_test(_kind, _how, _stage, _sent, _status, _outcome)


@test("target closes without reading anything: 502")
def closes_at_once(context):
    target = peers.Target(context, f"unix:{context.path('bad.sock')}", lambda *_: None)
    Weather(context, target.endpoint).check_status(502, {"target_closed", "target_reset"}, "POST", b"body")
    # A second attempt is right only where the first could not send a byte.
    assert target.n_accepted <= 2 * TIMES, f"{target.n_accepted} connections for {TIMES} requests"


@test("target closes an idle connection: the next request is sent again on a fresh one")
def closes_idle(context):
    def script(connection, target):
        wire.Request(connection)
        connection.send(wire.answer(b"once"))  # and the end, although it promised to stay
        connection.close()
        target.mark("closed")

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint)
    done = []

    def ask():
        assert wire.exchange(weather.address, "POST", "/bad", body=b"body").status == 200
        done.append(1)
        target.await_count("closed", len(done))

    weather.check(ask, "forwarded", width=1)


@test("target resets a reused connection after it has read a POST: 502, never sent twice")
def resets_reused(context):
    def script(connection, target):
        wire.Request(connection)
        target.mark("request")
        connection.send(wire.answer(b"first"))
        wire.Request(connection)
        target.mark("request")

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    for i in range(20):
        statuses = [wire.exchange(porthole.address, "POST", "/", body=b"money").status for _ in range(2)]
        assert statuses == [200, 502], statuses
        assert target.count("request") == 2 * (i + 1), "a request was sent again"


# ---- silence and slowness ----


@test("target silent: 504 response_timeout, its connection closed")
def silent(context):
    def script(connection, target):
        wire.Request(connection)
        try:
            connection.fill()
        except EOFError:
            target.mark("closed")

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint, response="1500ms")
    weather.check_status(504, "response_timeout", width=50)
    target.await_count("closed", TIMES)


@test("target never accepts: 504 response_timeout")
def never_accepts(context):
    context.callback(peers.listen(f"unix:{context.path('bad.sock')}", 500).close)
    weather = Weather(context, f"unix:{context.path('bad.sock')}", response="1s")
    weather.check_status(504, "response_timeout", width=50)


@test("target falls silent in mid-body: cut after timeouts.idle, target_stalled")
def stalled(context):
    def script(connection, _target):
        wire.Request(connection)
        connection.send(SIZED + b"some")
        connection.fill()

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint, idle="1s")
    weather.check(weather.ask_truncated, "target_stalled", width=50)


@test("target falls silent in mid-head: 504 response_timeout")
def stalled_head(context):
    def script(connection, _target):
        wire.Request(connection)
        connection.send(HEAD + b"X-Field: va")
        connection.fill()

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    Weather(context, target.endpoint, response="1s").check_status(504, "response_timeout", width=50)


@test("target slow by single bytes: the response completes, sized and chunked")
def slow(context):
    def script(connection, _target):
        request = wire.Request(connection)
        if len(request.body) % 2:
            wire.dribble(connection.sock, wire.answer(b"slowly but surely", "Connection: close"))
        else:
            wire.dribble(connection.sock, CHUNKED[:-2] + b"Connection: close\r\n\r\n6\r\nslowly\r\nb;x=y\r\n but surely\r\n0\r\nX-T: 1\r\n\r\n")

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint)
    lengths = iter(range(1, TIMES + 1))

    def ask():
        got = wire.exchange(weather.address, "POST", "/bad", body=b"x" * next(lengths))
        assert got.status == 200 and got.body == b"slowly but surely", got.body

    weather.check(ask, "forwarded", width=10)


@test("target trickles its head for ever: 504 response_timeout all the same")
def trickling_head(context):
    def script(connection, _target):
        wire.Request(connection)
        wire.dribble(connection.sock, HEAD + b"X-Long: " + b"x" * 10000, 0.02)

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    Weather(context, target.endpoint, response="1s").check_status(504, "response_timeout", width=50)


# ---- rubbish ----

RUBBISH = {
    "no HTTP": b"hello, who is there?\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00",
    "another version": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n",
    "an unasked 101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": HEAD + b"Content-Length: 1, 2\r\n\r\nab",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length of 2^64": HEAD + b"Content-Length: 18446744073709551616\r\n\r\n",
    "length and chunked": HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: snappy\r\n\r\nxx",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 1\r\n\r\na",
    "no colon": HEAD + b"Content-Length\r\n\r\n",
    "an empty name": HEAD + b": x\r\n\r\n",
    "a NUL in a value": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": HEAD + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a line without end": HEAD + b"X: " + b"a" * 2_000_000,
    "fields without end": HEAD + b"X-Field: some value\r\n" * 100_000,
    "a leading space": HEAD + b" X: y\r\nContent-Length: 0\r\n\r\n",
}


def make_rubbish_test(name, data):
    def run(context):
        def script(connection, _target):
            wire.Request(connection)
            connection.send(data)
            connection.fill()

        target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
        may_wait = name in ("HTTP/0.9", "a TLS alert", "HTTP/2")
        weather = Weather(context, target.endpoint, response="2s" if may_wait else "20s")

        def ask():
            got = wire.exchange(weather.address, "GET", "/bad")
            if may_wait:
                assert got.status in (502, 504), got.status  # without a line end it may wait for more
            else:
                assert got.status == 502, got.status

        outcomes = {"bad_response", "response_timeout"} if data[-1:] not in b"\n" else {"bad_response"}
        if len(data) > 30_000:
            outcomes.add("response_head_too_large")
        weather.check(ask, outcomes, width=25)

    test(f"target answers rubbish, {name}: 502 bad_response")(run)


for _name, _data in RUBBISH.items():
    make_rubbish_test(_name, _data)


@test("target answers rubbish instead of a chunk: cut, the client sees no end")
def rubbish_chunk(context):
    bad = [b"xyz\r\n", b"-5\r\nabcde\r\n", b"5\r\nabcdeX\r\n", b"fffffffffffffffff\r\n", b"5 5\r\nabcde\r\n", b"\r\n", b"0x5\r\nabcde\r\n"]
    todo = iter(bad * TIMES)
    turns, begun = iter(range(1000)), {}  # the rubbish follows when the client has the beginning

    def script(connection, _target):
        turn = wire.Request(connection).fields["x-turn"]
        connection.send(CHUNKED + b"3\r\nabc\r\n")
        begun[turn].wait(20)
        connection.send(next(todo))
        connection.fill()

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint)

    def ask():
        turn = str(next(turns))
        begun[turn] = threading.Event()
        with wire.client(weather.address) as client:
            client.send(wire.head("GET", "/bad", f"X-Turn: {turn}"))
            assert wire.Response(client, body=False).status == 200
            assert client.exactly(8) == b"3\r\nabc\r\n"
            begun[turn].set()
            try:
                raise AssertionError(f"more of a body that looks whole: {list(client.chunks())}")
            except (EOFError, ConnectionError):
                pass

    weather.check(ask, {"target_truncated", "bad_response"})


@test("target says more than its answer: the surplus reaches nobody")
def surplus(context):
    def script(connection, _target):
        while True:
            wire.Request(connection)
            connection.send(wire.answer(b"mine") + wire.answer(b"yours", "X-Stolen: yes"))

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint)

    def ask():
        with wire.client(weather.address) as kept:
            for _ in range(2):
                kept.send(wire.head("GET", "/bad"))
                got = wire.Response(kept)
                assert got.body == b"mine" and "x-stolen" not in got.fields, got.body

    with peers.Bystander(weather.address):
        peers.together(5, lambda _: [ask() for _ in range(10)])
    weather.porthole.check_outcomes("/bad", 100, "forwarded")
    weather.porthole.check_fds()


@test("target speaks before it is asked: nobody gets that for an answer of his own request")
def speaks_first(context):
    def script(connection, target):
        while True:
            wire.Request(connection)
            connection.send(wire.answer(b"right"))
            time.sleep(0.03)
            connection.send(wire.answer(b"wrong"))
            target.mark("spoken")

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    for i in range(20):
        assert wire.exchange(porthole.address).body == b"right"
        target.await_count("spoken", i + 1)


@test("target sends 1xx for ever: bounded by timeouts.response")
def interim_for_ever(context):
    def script(connection, _target):
        wire.Request(connection)
        while True:
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(0.01)

    target = peers.Target(context, f"unix:{context.path('bad.sock')}", script)
    weather = Weather(context, target.endpoint, response="1s")

    def ask():
        got = wire.exchange(weather.address, "GET", "/bad")
        assert got.status in (502, 504), got.status

    weather.check(ask, {"response_timeout", "bad_response"}, width=50)


def answers_early(connection, _target):
    wire.Request(connection, body=False)
    connection.send(wire.answer(b"enough", "Connection: close", status="403 Forbidden"))
    while connection.sock.recv(65536):
        pass


@test("target answers before the body has come: the answer reaches a client that goes on sending")
def early_answer_sending(context):
    target = peers.Target(context, f"unix:{context.path('bad.sock')}", answers_early)
    weather = Weather(context, target.endpoint)

    def ask():
        with wire.client(weather.address) as connection:
            connection.send(wire.head("POST", "/bad", "Content-Length: 100000000"))
            try:
                for _ in range(1000):
                    connection.send(b"x" * 100_000)
            except ConnectionError:
                pass
            assert wire.Response(connection).status == 403

    weather.check(ask, "forwarded", times=20)


@test("target answers before the body has come: the answer reaches a client that pauses")
def early_answer_pausing(context):
    target = peers.Target(context, f"unix:{context.path('bad.sock')}", answers_early)
    weather = Weather(context, target.endpoint)

    def ask():
        with wire.client(weather.address) as connection:
            connection.send(wire.head("POST", "/bad", "Content-Length: 100000000") + b"x" * 1000)
            assert wire.Response(connection).status == 403

    weather.check(ask, "forwarded", times=20)


def make_lingering_test(kind):
    @test(f"an answer instead of 100 (Continue), {kind}: whole, then an end and no reset, for a client that has sent its body anyway")
    def run(context):
        body = random.Random(7).randbytes(150_000)

        def serve(connection, _target):
            wire.Request(connection, body=False)
            connection.send(wire.answer(body))
            connection.sock.recv(1)

        target = peers.Target(context, f"unix:{context.path('bad.sock')}", serve)
        address = f"unix:{context.path('front.sock')}" if kind == "unix" else f"tcp:127.0.0.1:{peers.free_port()}"
        porthole = Porthole(context, listeners=[{"bind": address, "routes": [{"target": target.endpoint}]}])
        for _ in range(10):
            with wire.client(address) as client:
                client.send(wire.head("POST", "/", "Expect: 100-continue", "Content-Length: 30000") + b"x" * 30_000)
                got = wire.Response(client)
                assert (got.status, got.body) == (200, body), (got.status, len(got.body))
                assert client.sock.recv(1) == b""
        porthole.stop()

    return run


make_lingering_test("unix")
make_lingering_test("tcp")


@test("without descriptors: porthole goes on when there are some again, and does not spin")
def no_descriptors(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    in_use = porthole.n_fds()
    resource.prlimit(porthole.pid, resource.RLIMIT_NOFILE, (in_use + 20, in_use + 20))
    held = [wire.client(porthole.address) for _ in range(60)]
    time.sleep(0.3)
    before = os.times(), cpu_seconds(porthole.pid)
    time.sleep(1)
    used = cpu_seconds(porthole.pid) - before[1]
    assert used < 0.3, f"{used:.2f} s of CPU in a second"
    for connection in held:
        connection.close()
    peers.until(lambda: wire.exchange(porthole.address).status == 200, 5, "service")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
