"""A storm: clients and targets that behave well, badly and at random, all at once, against one porthole of several workers.

Half of the clients are honest: what they ask must be answered whole and right, whatever the others do. The others leave in
the middle, half-close, reset, pipeline, never read, or open tunnels that either end closes at any moment; the targets they
ask trickle, reset, stall, lie, answer early or with 1xx. Meanwhile another user, who may write the socket's directory, takes it
away away again and again and puts links and directories in the place of what is made there (neighbour.py), so that it is published
anew; files that are not the neighbour's must stay as they are. At the end nothing may be left over, or the program is stopped in
the middle of it and must end by itself. It is meant for builds with a sanitizer, whose reports the runner looks for."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import peers  # noqa: E402  needs the path above
import tap  # noqa: E402
import wire  # noqa: E402
from porthole import Background, Porthole  # noqa: E402

SECONDS = int(os.environ.get("STORM_SECONDS") or 10)
SEED = int(os.environ.get("STORM_SEED") or random.randrange(1 << 30))
WORKERS = 4
STRANGER = 65534  # a user who owns nothing of ours
N_HONEST, N_WILD = 8, 16
PATTERN = random.Random(1).randbytes(1 << 20)
LARGE = 1 << 20


# ---- targets ----


def chunked(connection, body, rng):
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
    position = 0
    while position < len(body):
        size = rng.randrange(1, 40_000)
        connection.send(wire.chunk(body[position:position + size]))
        position += size
    connection.send(b"0\r\nX-Sum: 1\r\n\r\n")


def tunnel(connection, rng):
    """Sends back what comes until it has had enough."""
    left = rng.choice((0, 10, 100_000, 1 << 40))
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: storm\r\n\r\n")
    pass_back(connection, left)
    if rng.random() < 0.3:
        peers.reset(connection)


def pass_back(connection, left):
    while left > 0:
        data = bytes(connection.ahead) or connection.sock.recv(65536)
        connection.ahead.clear()
        if not data:
            return
        connection.send(data)
        left -= len(data)


def misbehave(connection, request, rng):
    """What follows a request, as its path says; returns whether the connection is good for another one."""
    how = request.target.split("/")[2]
    if how == "silent":
        time.sleep(rng.uniform(0, 0.6))
    elif how == "early":
        connection.send(wire.answer(b"no", status="413 Content Too Large"))
        time.sleep(rng.uniform(0, 0.1))
    elif how == "half":
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + PATTERN[:rng.randrange(100_000)])
    elif how == "torn":
        connection.send(b"HTTP/1.1 200 OK\r\nX-Some: field\r\n"[:rng.randrange(33)])
    elif how == "rubbish":
        connection.send(PATTERN[rng.randrange(1000):][:200])
    elif how == "surplus":
        connection.send(wire.answer(b"all") + b"and more")
    elif how == "tunnel":
        tunnel(connection, rng)
    else:
        raise AssertionError(how)
    if rng.random() < 0.3:
        peers.reset(connection)


def behave(connection, request, rng):
    request.body = connection.body(request.fields)
    how = request.target.split("/")[2]
    if how == "interim":
        for _ in range(rng.randrange(1, 4)):
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    if how == "slow":
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body))
        for begin in range(0, len(request.body), 50_000):
            connection.send(request.body[begin:begin + 50_000])
            time.sleep(0.002)
    elif how == "chunked":
        chunked(connection, request.body, rng)
    elif how == "large":
        connection.send(wire.answer(PATTERN))
    else:
        connection.send(wire.answer(request.body))


GOOD = ("echo", "interim", "slow", "chunked")
BAD = ("silent", "early", "half", "torn", "rubbish", "surplus", "tunnel")


def serve(connection, _target):
    rng = random.Random()
    while True:
        request = wire.Request(connection, body=False)
        if request.target.split("/")[2] in BAD:
            misbehave(connection, request, rng)
            return
        behave(connection, request, rng)


def serve_stream(connection, _target):
    pass_back(connection, random.choice((10, 10_000, 1 << 40)))


# ---- clients ----


class Storm:
    def __init__(self, context, rng):
        self.context, self.rng = context, rng
        self.over = threading.Event()
        self.stopping = False
        self.faults, self.n_served, self.n_wild = [], 0, 0
        # Whoever shares an endpoint shares its connections, so good and bad have their own.
        self.targets = {name: peers.Target(context, f"unix:{context.path(name)}" if "unix" in name else "tcp:127.0.0.1:0", serve)
                        for name in ("good-unix", "good-tcp", "bad-unix", "bad-tcp")}
        self.stream = peers.Target(context, f"unix:{context.path('stream-target.sock')}", serve_stream)
        self._make_volume()
        self.porthole = self._start()
        self.threads, self.neighbour = [], None

    def _make_volume(self):
        """What is shared with the neighbour, and what is none of its business."""
        self.volume, self.canary = self.context.path("volume"), self.context.path("canary")
        os.mkdir(self.volume)
        os.chmod(self.volume, 0o777)
        os.mkdir(self.canary, 0o711)
        with open(os.path.join(self.canary, "file"), "w", encoding="ascii") as f:
            f.write("canary")
        os.chmod(f.name, 0o600)
        self.canary_before = self._look_at_canary()

    def _look_at_canary(self):
        """All that a stat tells but when it was read."""
        paths = (self.canary, os.path.join(self.canary, "file"))
        return [(tuple(os.lstat(path))[:7], os.lstat(path).st_mtime_ns, os.lstat(path).st_ctime_ns) for path in paths]

    def _start(self):
        connections = {"idle_timeout": "100ms", "max": 12}
        patient, hasty = {"response": "20s", "connect": "20s", "idle": "20s", "tunnel": "1s"}, {"response": "300ms", "idle": "300ms", "tunnel": "300ms"}
        routes = [{"match": {"path_prefix": f"/{name}"}, "target": name} for name in self.targets]
        self.address, self.stream_address = f"unix:{self.volume}/app.sock", f"unix:{self.context.path('stream.sock')}"
        self.tcp_address = f"tcp:127.0.0.1:{peers.free_port()}"
        http = {"timeouts": {"head": "20s", "body": "20s"}, "routes": [*routes, {"respond": {"status": 200, "body": "here\n"}}]}
        porthole = Porthole(self.context, workers=WORKERS, drain="1s", listeners=[
            {"bind": self.address, **http}, {"bind": self.tcp_address, **http},
            {"bind": self.stream_address, "stream": {"target": "stream"}}], targets={
                **{name: {"endpoints": [target.endpoint], "connections": connections, "timeouts": patient if "good" in name else hasty}
                   for name, target in self.targets.items()},
                "stream": {"endpoints": [self.stream.endpoint], "connections": {"max": 100}, "timeouts": {"tunnel": "1s"}}})
        porthole.remember_fds()
        return porthole

    def _connect(self, address=None):
        """None while there is nobody: the socket has just been taken away, or the program stops."""
        try:
            return wire.client(address or self.rng.choice((self.address, self.tcp_address)), 60)
        except OSError:
            if not self.stopping and address == self.tcp_address:
                raise
            time.sleep(0.01)
            return None

    # Honest ones.

    def be_honest(self, rng):
        client = self._connect()
        if not client:
            return
        with client:
            for _ in range(rng.randrange(1, 5)):
                body = PATTERN[:rng.choice((0, 1, 1000, 70_000, 300_000))]
                how = rng.choice(GOOD)
                lines, data = (f"Content-Length: {len(body)}",), body
                if rng.random() < 0.3:
                    lines, data = ("Transfer-Encoding: chunked",), (wire.chunk(body) if body else b"") + b"0\r\n\r\n"
                client.send(wire.head("POST", f"/good-{rng.choice(('unix', 'tcp'))}/{how}", *lines) + data)
                got = wire.Response(client, "POST")
                if got.status != 200 or got.body != body:
                    raise AssertionError(f"{how}: {got.status} with {len(got.body)} bytes, not 200 with {len(body)}: {got.body[:200]}")
                self.n_served += 1
                if got.fields.get("connection", "").lower() == "close":
                    return

    # Wild ones.

    def leave_early(self, rng, client):
        data = wire.head("POST", f"/{rng.choice(('good', 'bad'))}-{rng.choice(('unix', 'tcp'))}/{rng.choice(GOOD)}", "Content-Length: 90000") + PATTERN[:90_000]
        client.send(data[:rng.choice((rng.randrange(1, 150), rng.randrange(1, len(data)), len(data)))])
        time.sleep(rng.choice((0, 0, 0.001, 0.01)))

    def half_close(self, _rng, client):
        client.send(wire.head("GET", "/good-unix/echo"))
        client.sock.shutdown(socket.SHUT_WR)
        client.sock.recv(1000)

    def pipeline(self, rng, client):
        client.send(wire.head("GET", "/good-tcp/echo") * rng.randrange(2, 20))
        client.sock.recv(rng.randrange(1, 2000))

    def never_read(self, rng, client):
        client.send(wire.head("GET", "/good-unix/large"))
        client.sock.recv(rng.randrange(1, 100_000))
        time.sleep(rng.uniform(0, 0.1))

    def meet_the_bad(self, rng, client):
        lines, body = ((), b"") if rng.random() < 0.5 else (("Content-Length: 50000",), PATTERN[:50_000])
        how = rng.choice(BAD)
        if how == "tunnel":
            self.open_tunnel(rng, client)
            return
        client.send(wire.head("POST" if body else "GET", f"/bad-{rng.choice(('unix', 'tcp'))}/{how}", *lines) + body)
        wire.Response(client)

    def open_tunnel(self, rng, client):
        client.send(wire.head("GET", f"/bad-{rng.choice(('unix', 'tcp'))}/tunnel", "Connection: Upgrade", "Upgrade: storm") + b"ahead")
        if wire.Response(client, body=False).status == 101:
            self.exchange_bytes(rng, client)

    def exchange_bytes(self, rng, client):
        for _ in range(rng.randrange(5)):
            client.send(PATTERN[:rng.choice((1, 100, 20_000))])
            client.sock.recv(65536)
        if rng.random() < 0.3:
            client.sock.shutdown(socket.SHUT_WR)
            client.sock.recv(65536)

    def send_rubbish(self, rng, client):
        client.send(PATTERN[rng.randrange(10_000):][:rng.randrange(1, 3000)] + b"\r\n\r\n")
        client.sock.recv(1000)

    def be_wild(self, rng):
        if rng.random() < 0.2:
            client = self._connect(self.stream_address)
            act = self.exchange_bytes
        else:
            client = self._connect()
            act = rng.choice((self.leave_early, self.half_close, self.pipeline, self.never_read, self.meet_the_bad, self.open_tunnel, self.send_rubbish))
        if not client:
            return
        with client:
            try:
                act(rng, client)
            except (OSError, EOFError, ValueError):
                pass  # it has asked for it
            self.n_wild += 1
            if rng.random() < 0.3:
                peers.reset(client)

    # All of them.

    def _loop(self, act, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            try:
                act(rng)
            except Exception as error:  # pylint: disable=broad-except
                if not self.stopping:
                    self.faults.append(f"{act.__name__}: {error!r}")
                    return

    def _let_neighbour_in(self):
        as_stranger = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if os.geteuid() == 0 else {}
        script = self.context.path("neighbour.py")  # the tests may lie where that user cannot go
        shutil.copy(os.path.join(HERE, "neighbour.py"), script)
        self.neighbour = Background(self.context, ["/usr/bin/python3", "-B", script, self.volume, self.canary, str(self.rng.random())],
                                    "neighbour", **as_stranger)

    def _see_neighbour_out(self):
        self.neighbour.terminate(30)
        self.context.note(f"{int(self.neighbour.output())} acts of a neighbour")
        assert self._look_at_canary() == self.canary_before, "the neighbour made porthole change what is not its own"

    def rage(self):
        acts = [self.be_honest] * N_HONEST + [self.be_wild] * N_WILD
        for act in acts:
            thread = threading.Thread(target=self._loop, args=(act, self.rng.random()), daemon=True)
            thread.start()
            self.threads.append(thread)
        self._let_neighbour_in()

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.faults:
            time.sleep(0.1)
            assert self.porthole.process.poll() is None, f"it has ended: {self.porthole.output()}"

    def calm(self):
        self.over.set()
        self._see_neighbour_out()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"
        self.context.note(f"{self.n_served} honest exchanges, {self.n_wild} wild clients, {len(self.porthole.entries())} lines of access log")
        assert not self.faults, self.faults
        errors = sum((target.errors for target in (*self.targets.values(), self.stream)), [])
        wrong = [error for error in errors if "ValueError" not in error]  # a torn request does not parse
        assert not wrong, wrong[:5]


def begin(context, number):
    context.note(f"STORM_SEED={SEED} STORM_SECONDS={SECONDS}")
    storm = Storm(context, random.Random(SEED + number))
    storm.rage()
    storm.wait(SECONDS)
    return storm


@tap.test(f"storm over {WORKERS} workers: honest clients are served, and nothing is left of it", SECONDS + 300)
def passes(context):
    storm = begin(context, 1)
    storm.calm()
    assert storm.n_served > 0
    peers.until(lambda: os.path.exists(storm.address.partition(":")[2]), 20, "the socket")
    assert wire.exchange(storm.address, "GET", "/").status == 200
    try:
        storm.porthole.check_fds(30)
    except AssertionError:
        sockets = subprocess.run(["ss", "-xtnpH"], capture_output=True, text=True, check=False).stdout.splitlines()
        context.note("\n".join(line for line in sockets if f"pid={storm.porthole.pid}," in line))
        raise
    storm.porthole.stop(30)


@tap.test(f"storm over {WORKERS} workers: stopped in the middle, it ends by itself", SECONDS + 300)
def stopped(context):
    storm = begin(context, 2)
    storm.stopping = True
    os.kill(storm.porthole.pid, signal.SIGTERM)
    status = storm.porthole.process.wait(60)
    storm.calm()
    assert status == 0, f"exit status {status}: {storm.porthole.output()[-2000:]}"


if __name__ == "__main__":
    sys.exit(tap.run(sys.argv[1:]))
