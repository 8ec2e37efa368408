"""Stream listeners: bytes to a target and back without HTTP, between all kinds of sockets."""

import os
import random
import socket
import subprocess
import threading
import time

import ends
import peers
import test_4_bodies as bodies
import wire
from ends import check_end
from porthole import Memory, Background, Porthole, need_plain_build, need_program, need_root
from tap import test
from test_9_access import ask_as

MINE = {"allow": [{"uid": os.geteuid()}]}
STREAMED = ""  # what the access log says of the request

def own_address(context, kind, name):
    if kind == "tcp":
        return f"tcp:127.0.0.1:{peers.free_port()}"
    return f"unix:{context.path(name + '.sock')}" if kind == "unix" else f"unix:@{os.path.basename(context.dir)}-{name}"


def stream(context, endpoint, kind="unix", listener=None, target=None, **top):
    """porthole with one stream listener; `target`, when given, makes of the endpoint a target with those keys."""
    address = own_address(context, kind, "app")
    made = {"bind": address, "stream": {"target": endpoint if target is None else "t"}, **(listener or {})}
    if kind == "abstract":
        made.setdefault("peers", MINE)
    targets = {} if target is None else {"targets": {"t": {"endpoints": [endpoint], **target}}}
    porthole = Porthole(context, listeners=[made], **targets, **top)
    porthole.address = address
    porthole.remember_fds()
    return porthole


def bridge(context, front="unix", back="unix", **options):
    """The same in front of a target whose connections are handed over."""
    board = ends.Board(context, own_address(context, back, "target"))
    return stream(context, board.address, front, **options), board


def join(porthole, board):
    client = wire.client(porthole.address, 20)
    return ends.Tunnel(client, board.take())


# ---- bytes ----

KINDS = (("unix", "unix"), ("unix", "tcp"), ("tcp", "unix"), ("tcp", "tcp"), ("abstract", "unix"), ("unix", "abstract"))


def for_kinds(name, seconds=60, kinds=KINDS):
    """The same test between several kinds of sockets."""
    def register(function):
        for front, back in kinds:
            test(f"stream, {front} to {back}: {name}", seconds)(
                lambda context, front=front, back=back: function(context, *bridge(context, front, back)))
        return function

    return register


@for_kinds("bytes both ways, whoever speaks first; half-close carried; the end at once")
def basics(context, porthole, board):
    with join(porthole, board) as tunnel:
        tunnel.target.send(b"220 ready\r\n")  # the server first
        assert tunnel.client.exactly(11) == b"220 ready\r\n"
        ends.swap(tunnel, bytes(range(256)) * 3)
        tunnel.client.sock.shutdown(socket.SHUT_WR)
        ends.await_end(tunnel.target, 5, reset=False)
        time.sleep(0.2)
        tunnel.target.sock.settimeout(20)
        ends.flow(tunnel.target, tunnel.client, 1_000_000)()
    check_end(porthole, 1, request=STREAMED)
    with join(porthole, board) as tunnel:
        tunnel.client.send(b"GET / HTTP/1.1\r\n\r\n\0\xff")  # HTTP is nothing special here
        assert tunnel.target.exactly(20) == b"GET / HTTP/1.1\r\n\r\n\0\xff"
        tunnel.target.sock.shutdown(socket.SHUT_WR)
        ends.await_end(tunnel.client, 5, reset=False)
        ends.flow(tunnel.client, tunnel.target, 1_000_000)()
    check_end(porthole, 2, request=STREAMED)
    for i in range(10):
        tunnel = join(porthole, board)
        ends.swap(tunnel)  # it is open on both sides before it ends
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        first.close()
        assert ends.await_end(second, reset=False) < 1
        second.close()
    check_end(porthole, 12, request=STREAMED)


@for_kinds("256 MiB of random bytes each way at once, memory bounded", 120, KINDS[:3])
def integrity(context, porthole, board):
    size = 256 << 20
    with join(porthole, board) as tunnel, Memory(porthole):
        ends.swap(tunnel)
        begin = time.monotonic()
        waits = [ends.flow(tunnel.client, tunnel.target, size), ends.flow(tunnel.target, tunnel.client, size)]
        for wait in waits:
            wait(100)
        context.note(f"{2 * size / 1e6 / (time.monotonic() - begin):.0f} MB/s")
    check_end(porthole, 1, request=STREAMED)
    entry = porthole.entries()[0]
    assert (entry["bytes_in"], entry["bytes_out"]) == (size + 5, size + 5), entry


@for_kinds("pieces of random sizes both ways keep their bytes", 60, KINDS[:3])
def pieces(context, porthole, board):
    seed = random.randrange(1 << 32)
    context.note(f"seed {seed}")
    dice = random.Random(seed)
    with join(porthole, board) as tunnel:
        for _ in range(300):
            sizes = [int(2 ** dice.uniform(0, 17)) for _ in range(2)]
            begin = dice.randrange(bodies.PERIOD)
            up, down = (bodies.pattern_at(begin + i, size) for i, size in enumerate(sizes))
            senders = [threading.Thread(target=end.send, args=(data,), daemon=True)
                       for end, data in ((tunnel.client, up), (tunnel.target, down))]
            for thread in senders:
                thread.start()
            assert tunnel.target.exactly(len(up)) == up and tunnel.client.exactly(len(down)) == down, sizes
            for thread in senders:
                thread.join(10)
    check_end(porthole, 1, request=STREAMED)


@for_kinds("a reader that stops stops the writer alone, memory bounded; then all bytes arrive", 60, KINDS[:3])
def back_pressure(context, porthole, board):
    need_plain_build()
    size = 64 << 20
    for way in ("up", "down"):
        with join(porthole, board) as tunnel, Memory(porthole):
            ends.hold_back(context, tunnel, way, size)
    check_end(porthole, 2, request=STREAMED)


@test("stream: bytes that a client sends at once and closes behind arrive, with the end")
def sends_and_leaves(context):
    porthole, board = bridge(context)
    for i in range(30):
        client = wire.client(porthole.address)
        client.send(bodies.pattern_at(i, 10_000))
        client.close()
        target = board.take()
        assert target.exactly(10_000) == bodies.pattern_at(i, 10_000)
        ends.await_end(target, 5, reset=False)
        target.close()
    check_end(porthole, 30, {"tunneled", "client_gone"}, STREAMED)


# ---- no target ----


def closed_at_once(porthole, send=b""):
    """How long a client is kept that cannot be served (the watch of that). It gets nothing but the end."""
    watch = peers.Watch()
    with wire.client(porthole.address) as client:
        try:
            client.send(send)
        except ConnectionError:
            pass
        ends.await_end(client)
    return watch


def make_absent_test(name, prepare, outcome, expected=0.0):
    def run(context):
        porthole = stream(context, prepare(context), target={"timeouts": {"connect": "1s"}})
        for i in range(20 if expected == 0 else 2):
            closed_at_once(porthole, b"early" * (i % 2)).check(expected - 0.1, expected + 1)
        check_end(porthole, 20 if expected == 0 else 2, outcome, STREAMED)
        entry = porthole.entries()[0]
        assert entry["bytes_in"] == entry["bytes_out"] == 0 and entry["target"] == "t", entry

    test(f"stream to a target that {name}: the client is closed{' at once' if expected == 0 else ''}, {outcome}")(run)


def stale(context):
    peers.listen(f"unix:{context.path('stale.sock')}").close()
    return f"unix:{context.path('stale.sock')}"


def full(context):
    listening = peers.listen(f"unix:{context.path('full.sock')}", 0)
    context.callback(listening.close)
    for _ in range(10):
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        context.callback(sock.close)
        try:
            sock.connect(context.path("full.sock"))
        except BlockingIOError:
            break
    return f"unix:{context.path('full.sock')}"


make_absent_test("is absent", lambda context: f"unix:{context.path('nothing.sock')}", "target_absent")
make_absent_test("refuses (unix)", stale, "target_refused")
make_absent_test("refuses (tcp)", lambda context: f"tcp:127.0.0.1:{peers.free_port()}", "target_refused")
make_absent_test("is full", full, "target_full", 1.0)


def make_closing_test(kind, how):
    def run(context):
        def script(connection, _target):
            if how == "resets":
                peers.reset(connection)

        target = peers.Target(context, own_address(context, kind, "target"), script)
        porthole = stream(context, target.address)
        for i in range(50):
            closed_at_once(porthole, b"early" * (i % 2)).check(0, 1)
        # The end can meet the connecting itself, or what the client has sent.
        seen = porthole.check_outcomes(STREAMED, 50, {"tunneled", "target_reset", "connect_failed"})
        context.note(seen)
        porthole.check_fds(10)

    test(f"stream: a target ({kind}) that {how} at once ends its client")(run)


make_closing_test("unix", "closes")
make_closing_test("tcp", "closes")
make_closing_test("tcp", "resets")


@test("stream: a client that leaves while its target is connected to leaves nothing behind")
def leaves_connecting(context):
    # A full backlog keeps the connection waiting. What a client said before it left is delivered if that comes to be.
    porthole = stream(context, full(context), target={"timeouts": {"connect": "2s"}})
    for i in range(20):
        client = wire.client(porthole.address)
        client.send(b"early" * (i % 2))
        time.sleep(0.02)
        client.close()
    seen = porthole.check_outcomes(STREAMED, 20, {"client_gone", "target_full"})
    assert seen == {"client_gone": 10, "target_full": 10}, seen
    porthole.check_fds(10)


@test("stream: a client that half-closes while its target is connected to is served all the same")
def half_closes_connecting(context):
    endpoint = full(context)
    porthole = stream(context, endpoint, target={"timeouts": {"connect": "20s"}})
    client = wire.client(porthole.address)
    client.send(b"question")
    client.sock.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    board = ends.Board(context, f"unix:{context.path('free.sock')}")
    os.rename(context.path("free.sock"), context.path("full.sock"))  # never absent, for that ends the attempt
    target = board.take()
    assert target.exactly(8) == b"question"
    ends.await_end(target, 5, reset=False)
    target.send(b"answer")
    target.close()
    assert client.exactly(6) == b"answer"
    ends.await_end(client, 5, reset=False)
    client.close()
    check_end(porthole, 1, "tunneled", STREAMED)


@test("stream: a target that appears later serves the clients that come then")
def appears(context):
    address = f"unix:{context.path('target.sock')}"
    porthole = stream(context, address)
    closed_at_once(porthole).check(0, 1)
    board = ends.Board(context, address)
    with join(porthole, board) as tunnel:
        ends.swap(tunnel)
    check_end(porthole, 2, {"target_absent", "tunneled"}, STREAMED)


# ---- who may, and how many ----


@test("stream: peers.allow holds, others are closed at once and reach no target")
def peer_rules(context):
    need_root()
    def script(connection, target):
        target.mark("connection")
        connection.fill()
        connection.send(wire.answer(b"", "Connection: close", status="299 Streamed"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = stream(context, target.address, listener={"mode": "0666", "peers": {"allow": [{"uid": 65001}]}})
    assert ask_as(context, 65001, 65001) == "299"
    for uid in (65002, 0):
        assert ask_as(context, uid, 65001) == "closed", uid
    assert target.count("connection") == 1
    check_end(porthole, 1, {"tunneled", "client_gone", "target_reset"}, STREAMED)
    assert porthole.entries()[0]["peer"] == "unix:uid=65001,gid=65001", porthole.entries()[0]


@test("stream: limits.connections, the next client waits until one ends")
def listener_limit(context):
    porthole, board = bridge(context, listener={"limits": {"connections": 3}})
    tunnels = [join(porthole, board) for _ in range(3)]
    waiting = wire.client(porthole.address)
    waiting.send(b"hello")
    time.sleep(0.7)
    assert board.waiting.empty(), "a fourth connection"
    tunnels[1].client.close()
    ends.await_end(tunnels[1].target)
    target = board.take()
    assert target.exactly(5) == b"hello"
    ends.swap(ends.Tunnel(waiting, target))
    for end in [waiting, target] + [end for tunnel in tunnels for end in (tunnel.client, tunnel.target)]:
        end.close()
    check_end(porthole, 4, request=STREAMED)


@test("stream: limits.connections_per_uid, who is too many is closed at once")
def uid_limit(context):
    porthole, board = bridge(context, listener={"limits": {"connections_per_uid": 2}})
    tunnels = [join(porthole, board) for _ in range(2)]
    closed_at_once(porthole).check(0, 1)
    assert board.waiting.empty()
    tunnels[0].close()

    def served():
        client = wire.client(porthole.address)
        try:
            client.send(b"?")
            target = board.take(0.5)
        except (AssertionError, ConnectionError):
            client.close()
            return None
        return ends.Tunnel(client, target)

    again = peers.until(served, 5, "room for another")
    assert again.target.exactly(1) == b"?"
    ends.swap(again)
    again.close()
    tunnels[1].close()
    check_end(porthole, 3, request=STREAMED)


@test("stream: connections.max of the target; who finds none free is closed, target_busy")
def target_limit(context):
    porthole, board = bridge(context, target={"connections": {"max": 2}, "timeouts": {"connect": "500ms"}})
    tunnels = [join(porthole, board) for _ in range(2)]
    closed_at_once(porthole).check(0.3, 3)
    porthole.check_outcomes(STREAMED, 1, "target_busy")
    waiting = wire.client(porthole.address)
    tunnels[0].close()
    with ends.Tunnel(waiting, board.take()) as tunnel:
        ends.swap(tunnel)
    tunnels[1].close()
    check_end(porthole, 4, {"tunneled", "target_busy"}, STREAMED)


@test("stream: timeouts.tunnel cuts an idle one, tunnel_idle")
def idle(context):
    porthole, board = bridge(context, target={"timeouts": {"tunnel": "3s"}})
    with join(porthole, board) as tunnel:
        for i in range(5):
            time.sleep(1)
            watch = peers.Watch()
            first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
            first.send(b"tick")
            assert second.exactly(4) == b"tick"
        ends.await_end(tunnel.client)
        ends.await_end(tunnel.target)
        watch.check(2.95, 8)
    check_end(porthole, 1, "tunnel_idle", STREAMED)


@test("stream: SIGTERM lets it live to its end, or to the drain deadline")
def drain(context):
    for drain_seconds, outcome in (("20s", "tunneled"), ("3s", "stopped")):
        with context.__class__() as own:
            porthole, board = bridge(own, drain=drain_seconds)
            tunnel = join(porthole, board)
            watch = peers.Watch()
            os.kill(porthole.pid, 15)
            for _ in range(3):
                time.sleep(0.15)
                ends.swap(tunnel)
            try:
                wire.connect(porthole.address).close()
                raise AssertionError("it still listens")
            except OSError:
                pass
            if outcome == "tunneled":
                tunnel.client.close()
            ends.await_end(tunnel.target)
            tunnel.close()
            assert porthole.process.wait(10) == 0, porthole.output()
            watch.check(0 if outcome == "tunneled" else 2.8, 8)
            porthole.check_outcomes(STREAMED, 1, outcome)


@test("stream: the access log has one line for each connection, with its bytes")
def access_log(context):
    porthole, board = bridge(context, listener={"name": "db"}, target={"timeouts": {"connect": "3s"}})
    with join(porthole, board) as tunnel:
        tunnel.client.send(b"x" * 12345)
        tunnel.target.exactly(12345)
        tunnel.target.send(b"y" * 54321)
        tunnel.client.exactly(54321)
        assert not porthole.entries()
    entry = porthole.await_entries(STREAMED, 1)[0]
    assert entry["listener"] == "db" and entry["target"] == "t" and entry["id"], entry
    assert entry["peer"] == f"unix:uid={os.geteuid()},gid={os.getegid()}", entry
    assert entry["outcome"] == "tunneled" and (entry["bytes_in"], entry["bytes_out"]) == (12345, 54321), entry
    check_end(porthole, 1, request=STREAMED)


# ---- many; programs of other people ----


def echo(connection, _target):
    while data := connection.sock.recv(65536):
        connection.send(data)
    connection.sock.shutdown(socket.SHUT_WR)
    try:
        connection.fill()
    except EOFError:
        pass


def make_many_test(workers, kind):
    def run(context):
        target = peers.Target(context, own_address(context, kind, "target"), echo)
        porthole = stream(context, target.address, workers=workers, target={"connections": {"max": 1000}})

        def through(i):
            with wire.client(porthole.address, 60) as client:
                ends.flow(client, client, 100_000 + i)()

        peers.together(400, through)
        assert not target.errors, target.errors
        check_end(porthole, 400, request=STREAMED)

    test(f"stream: 400 at once to an echo ({kind}), workers {workers}: every byte comes back", 120)(run)


make_many_test(1, "unix")
make_many_test(2, "unix")
make_many_test(2, "tcp")


@test("stream and HTTP listeners beside each other, to one target")
def beside(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    raw = f"unix:{context.path('raw.sock')}"
    http = f"unix:{context.path('http.sock')}"
    porthole = Porthole(context, listeners=[{"bind": raw, "stream": {"target": "t"}}, {"bind": http, "routes": [{"target": "t"}]}],
                        targets={"t": {"endpoints": [target.endpoint]}})
    for _ in range(20):
        for address in (raw, http):
            assert wire.exchange(address, "POST", "/beside", body=b"hello").body == b"hello"
    porthole.check_outcomes("/beside", 20, "forwarded")
    porthole.check_outcomes(STREAMED, 20, "tunneled")


@test("socat and nc at both ends: a file goes through, and an answer comes back after its end", 60)
def programs(context):
    socat, netcat = need_program("socat"), need_program("nc")
    need_program("sha256sum")
    with open(context.path("file"), "wb") as f:
        f.write(random.Random(1).randbytes(20 << 20))
    expected = subprocess.run(["sha256sum"], stdin=open(context.path("file"), "rb"), capture_output=True, check=True).stdout
    Background(context, [socat, f"UNIX-LISTEN:{context.path('target.sock')},fork", "EXEC:sha256sum"], "socat")
    peers.until(lambda: os.path.exists(context.path("target.sock")), 10, "socat's socket")
    porthole = stream(context, f"unix:{context.path('target.sock')}")
    for command in ([socat, "-t20", "-", f"UNIX-CONNECT:{context.path('app.sock')}"], [netcat, "-U", "-N", context.path("app.sock")]):
        with open(context.path("file"), "rb") as f:
            done = subprocess.run(command, stdin=f, capture_output=True, timeout=30, check=False)
        assert done.stdout == expected, (command, done)
    check_end(porthole, 2, request=STREAMED)


@test("PostgreSQL behind a stream, Unix to Unix and TCP to Unix: psql and its COPY both ways", 120)
def postgres(context):
    need_root()
    tools = {}
    for name in ("initdb", "postgres", "psql"):
        path = f"/usr/lib/postgresql/15/bin/{name}"
        tools[name] = path if os.path.exists(path) else need_program(name)
    user = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/", "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}}
    data, sockets = context.path("data"), context.path("pg")
    for path in (data, sockets):
        os.mkdir(path, 0o700)
        os.chown(path, 65534, 65534)
    subprocess.run([tools["initdb"], "-D", data, "-U", "me", "-A", "trust", "-N", "--no-instructions"], check=True, capture_output=True, timeout=100, **user)
    Background(context, [tools["postgres"], "-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "fsync=off"], "postgres", **user)
    peers.until(lambda: os.path.exists(f"{sockets}/.s.PGSQL.5432"), 30, "PostgreSQL's socket")
    port = peers.free_port()
    os.mkdir(context.path("front"))
    front = f"unix:{context.path('front')}/.s.PGSQL.5432"
    porthole = Porthole(context, listeners=[{"bind": front, "stream": {"target": "db"}}, {"bind": f"tcp:127.0.0.1:{port}", "stream": {"target": "db"}}],
                        targets={"db": {"endpoints": [f"unix:{sockets}/.s.PGSQL.5432"]}})
    porthole.remember_fds()
    rows = "".join(f"{i}\t{'x' * (i % 500)}\n" for i in range(20_000))
    for number, where in enumerate((["-h", context.path("front")], ["-h", "127.0.0.1", "-p", str(port)])):
        def psql(command, text=None, where=where, check=True):
            return subprocess.run([tools["psql"], "-X", "-A", "-t", "-q", "-U", "me", *where, "-d", "postgres", "-c", command], input=text,
                                  text=True, capture_output=True, timeout=60, check=check).stdout

        peers.until(lambda: "1" in (psql("select 1", check=False) if number or porthole else ""), 20, "PostgreSQL")
        psql(f"create table t{number} (i int, s text)")
        psql(f"copy t{number} from stdin", rows)
        assert psql(f"select count(*), sum(length(s)) from t{number}").strip() == f"20000|{sum(i % 500 for i in range(20_000))}"
        assert sorted(psql(f"copy t{number} to stdout").splitlines()) == sorted(rows.splitlines())
    porthole.check_fds(10)
    assert {entry["outcome"] for entry in porthole.entries()} == {"tunneled"}, porthole.entries()
