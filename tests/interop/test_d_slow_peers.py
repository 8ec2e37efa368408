"""Slow and greedy peers: deadlines that hold, numbers that hold, and others who notice nothing, which is measured."""

import socket
import statistics
import subprocess
import threading
import time

import ends
import peers
import test_4_bodies as bodies
import wire
from ends import house
from porthole import Porthole, is_sanitized, need_root
from tap import test
from test_9_access import ask_as

MANY = 200


def outcomes_of(porthole, request):
    seen = {}
    for entry in porthole.entries(request):
        seen[entry["outcome"]] = seen.get(entry["outcome"], 0) + 1
    return seen


class Trickle:
    """Sends data a byte at a time from a thread of its own, until it is through or the other side is gone."""

    def __init__(self, sock, data, pause):
        self.sock, self.data, self.pause, self.n_sent = sock, data, pause, 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            for byte in self.data:
                self.sock.sendall(bytes([byte]))
                self.n_sent += 1
                time.sleep(self.pause)
        except OSError:
            pass


# ---- deadlines ----


@test("timeouts.head counts from the first byte, however diligently the head trickles in: 408")
def head_deadline(context):
    porthole, board = house(context, listener={"timeouts": {"head": "1s", "idle": "30s"}})
    for pause in (0.05, 60):
        with wire.client(porthole.address) as client:
            watch = peers.Watch()
            Trickle(client.sock, b"GET /slow HTTP/1.1\r\nHost: x\r\n" + b"X-More: 1\r\n" * 1000, pause)
            assert wire.Response(client).status == 408
            ends.await_end(client)
            watch.check(0.95, 3, "the head's deadline")
    with wire.client(porthole.address) as client:  # a second request has a deadline of its own
        client.send(wire.head("GET", "/first"))
        end = board.take_request()
        end.send(wire.answer(b"ok", "Connection: close"))
        assert wire.Response(client).body == b"ok"
        time.sleep(1.5)  # idle is something else
        watch = peers.Watch()
        client.send(b"GET /second HTTP/1.1\r\nHos")
        assert wire.Response(client).status == 408
        watch.check(0.95, 3, "the second head's deadline")
        end.close()
    assert board.waiting.empty() and set(outcomes_of(porthole, "/slow")) <= {"head_timeout"}, porthole.entries()


def make_body_test(is_chunked):
    def run(context):
        porthole, board = house(context, listener={"timeouts": {"body": "3s"}})
        with wire.client(porthole.address) as client:  # progress keeps it
            client.send(wire.head("POST", "/trickled", bodies.framing(12, is_chunked)))
            for _ in range(12):
                time.sleep(0.4)
                client.send(wire.chunk(b"x") if is_chunked else b"x")
            client.send(b"0\r\n\r\n" if is_chunked else b"")
            end = board.take_request()
            assert end.request.body == b"x" * 12
            end.send(wire.answer(b"ok", "Connection: close"))
            assert wire.Response(client).status == 200
            end.close()
        with wire.client(porthole.address) as client:
            watch = peers.Watch()
            client.send(wire.head("POST", "/stopped", bodies.framing(12, is_chunked)) + (wire.chunk(b"x") if is_chunked else b"x"))
            end = board.take_request(body=False)
            assert wire.Response(client).status == 408
            watch.check(2.95, 8, "the body's deadline")
            ends.await_end(client)
            assert not read_to_end(end).endswith(b"0\r\n\r\n")
            end.close()
        porthole.check_outcomes("/trickled", 1, "forwarded")
        porthole.check_outcomes("/stopped", 1, "body_timeout")

    test(f"timeouts.body counts between pieces of {'a chunked' if is_chunked else 'a sized'} body: trickling lives, stopping is 408")(run)


def read_to_end(end):
    data = bytes(end.ahead)
    try:
        while piece := end.sock.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


make_body_test(False)
make_body_test(True)


@test("timeouts.body counts while a client takes its answer: slow reading lives, stopping is cut")
def drain_deadline(context):
    porthole, board = house(context, listener={"timeouts": {"body": "3s"}})
    board.script = bodies.giving
    size = 3_000_000
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/slow", f"X-Size: {size}", "X-Answer: sized"))
        got = wire.Response(client, body=False)
        check = bodies.Check()
        check.add(bytes(client.ahead))
        while check.position < size:
            check.add(client.sock.recv(150_000))
            time.sleep(0.25)
        assert int(got.fields["content-length"]) == size
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/stopped", f"X-Size: {1 << 30}", "X-Answer: sized"))
        wire.Response(client, body=False)
        watch = peers.Watch()
        porthole.await_entries("/stopped", 1, 20)
        watch.check(2.8, 9, "the answer's deadline")
    porthole.check_outcomes("/slow", 1, "forwarded")
    porthole.check_outcomes("/stopped", 1, "client_stalled")
    porthole.check_fds(10)


@test("timeouts.idle: between requests a client has that long, whatever it took before")
def idle_deadline(context):
    porthole, board = house(context, listener={"timeouts": {"idle": "3s", "head": "20s"}})
    with wire.client(porthole.address) as client:
        for _ in range(3):
            watch = peers.Watch()
            client.send(wire.head("GET", "/"))
            end = board.take_request()
            end.send(wire.answer(b"ok", "Connection: close"))
            assert wire.Response(client).body == b"ok"
            end.close()
            time.sleep(1.2)
        ends.await_end(client, reset=False)
        watch.check(2.95, 8, "the idle deadline")


# ---- many of them ----


@test(f"{MANY} clients that trickle their heads: all get 408 in time, no target is bothered, memory bounded", 60)
def slowloris(context):
    porthole, board = house(context, listener={"timeouts": {"head": "2s"}})
    before = porthole.rss_kib()
    clients = [wire.client(porthole.address, 20) for _ in range(MANY)]
    watch = peers.Watch()
    head = b"GET /loris HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 100
    ended = threading.Event()

    def feed():
        for byte in head:
            for client in clients:
                try:
                    client.sock.send(bytes([byte]))
                except OSError:
                    pass
            if ended.wait(0.1):
                return

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    for client in clients:
        assert wire.Response(client).status == 408
    watch.check(1.9, 8, "the deadline of all heads")
    grown = porthole.rss_kib() - before
    ended.set()
    feeder.join(5)
    for client in clients:
        client.close()
    context.note(f"memory grew by {grown} KiB for {MANY} heads")
    assert board.waiting.empty()
    assert grown < 64 * MANY or is_sanitized(), grown
    porthole.check_fds(10)


@test(f"{MANY} clients that read nothing: bounded memory, all cut in time, their targets let go", 90)
def stopped_readers(context):
    porthole, board = house(context, listener={"timeouts": {"body": "3s"}})
    board.script = bodies.giving
    watch = peers.Watch()
    before = porthole.rss_kib()
    clients = [wire.client(porthole.address, 20) for _ in range(MANY)]
    for client in clients:
        client.send(wire.head("GET", "/unread", f"X-Size: {1 << 30}", "X-Answer: sized"))
    peers.until(lambda: len(board.open) == MANY, 20, "all requests at the target")
    time.sleep(1)
    grown = porthole.rss_kib() - before
    context.note(f"memory grew by {grown} KiB for {MANY} answers nobody reads")
    porthole.await_entries("/unread", MANY, 20)
    watch.check(2.5, 20, "the deadline of all answers")
    porthole.check_outcomes("/unread", MANY, "client_stalled")
    peers.until(lambda: not board.open, 10, "the end of the targets' connections")
    for client in clients:
        client.close()
    porthole.check_fds(10)
    assert grown < 256 * MANY or is_sanitized(), grown


@test("limits.connections: who is too many waits and is served, all of 100")
def connection_limit(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint}, listener={"limits": {"connections": 10}, "backlog": 1024})
    highest = [0]
    ended = threading.Event()

    def watch():
        while not ended.wait(0.005):
            highest[0] = max(highest[0], len(target.open))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    def through(i):
        with wire.client(porthole.address, 30) as client:
            client.send(wire.head("POST", f"/{i}", "Content-Length: 3") + b"%03d" % i)
            assert wire.Response(client).body == b"%03d" % i
            time.sleep(0.05)

    peers.together(100, through)
    ended.set()
    watcher.join(5)
    context.note(f"{highest[0]} connections to the target at most")
    assert highest[0] <= 10 + 1, highest[0]  # ten clients, and one that the target has not seen end
    porthole.await_entries(None, 100, 20)
    assert len(porthole.entries()) == 100
    porthole.check_all_forwarded()


# ---- by uid ----

HOLDER = """
import socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    try:
        sock.connect(sys.argv[1])
        sock.sendall(b"GET /held HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        answer = sock.recv(1000)
    except (ConnectionError, BrokenPipeError):
        answer = b""
    if answer:
        sock.sendall(b"GET /more HTTP/1.1\\r\\n")  # an idle one would make room for the next
        time.sleep(0.2)
        held.append(sock)
print(len(held), flush=True)
sys.stdin.readline()
"""


class Holder:
    """A process of another user that opens connections, makes a request on each, and keeps those that were served."""

    def __init__(self, context, uid, n):
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", HOLDER, context.path("app.sock"), str(n)], user=uid, group=uid,
                                        extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
                                        env={"PATH": "/usr/bin:/bin"})
        context.callback(self.end)
        self.n_held = int(self.process.stdout.readline())

    def end(self):
        if self.process.poll() is None:
            self.process.communicate("\n", timeout=20)


def guarded(context, limit, workers=1, **options):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": ends.QUICK}}, workers=workers,
                        listener={"mode": "0666", "limits": {"connections_per_uid": limit}, "timeouts": {"head": "60s"}},
                        **options)
    peers.until(lambda: wire.exchange(porthole.address).status == 200, 5)
    porthole.remember_fds()
    return porthole


def make_uid_test(workers):
    def run(context):
        need_root()
        porthole = guarded(context, 5, workers)
        first = Holder(context, 65001, 12)
        assert first.n_held == 5, f"{first.n_held} connections of one uid, not 5"
        assert ask_as(context, 65001, 65001) == "closed"
        assert ask_as(context, 65001, 65002) == "closed", "another group is the same user"
        assert ask_as(context, 65002, 65001) == "200", "another user pays for the first"
        second = Holder(context, 65002, 7)
        assert second.n_held == 5, second.n_held
        assert wire.exchange(porthole.address, "GET", "/root").status == 200
        first.end()
        peers.until(lambda: ask_as(context, 65001, 65001) == "200", 10, "room for the first user")
        assert ask_as(context, 65002, 65002) == "closed"
        again = Holder(context, 65001, 12)
        assert again.n_held == 5, f"{again.n_held} connections after the first five have gone"
        again.end()
        second.end()
        porthole.check_fds(10)
        assert {entry["outcome"] for entry in porthole.entries() if entry["request"] != "/more"} == {"forwarded"}, porthole.entries()

    test(f"limits.connections_per_uid, workers {workers}: one uid has five, the rest is closed at once, others are served", 60)(run)


make_uid_test(1)
make_uid_test(2)


@test("limits.connections_per_uid: who is refused is closed at once, not after a deadline, a thousand times")
def uid_refused(context):
    porthole = guarded(context, 3)
    held = [wire.client(porthole.address) for _ in range(3)]
    for client in held:
        client.send(wire.head("GET", "/held"))
        assert wire.Response(client).status == 200
        client.send(b"GET /held HTTP/1.1\r\n")  # an idle one would make room for the next
    time.sleep(0.5)
    slowest = 0.0
    for _ in range(1000):
        watch = peers.Watch()
        with wire.client(porthole.address) as client:
            try:
                client.send(wire.head("GET", "/refused"))
            except ConnectionError:
                pass
            ends.await_end(client)
        slowest = max(slowest, watch.fair())
    assert slowest < 2, f"{slowest:.2f} s"
    for client in held:  # those who are in notice nothing
        client.send(b"Host: x\r\n\r\n")
        assert wire.Response(client).status == 200
        client.close()
    assert not porthole.entries("/refused")
    peers.until(lambda: is_served(porthole), 5, "room again")
    porthole.check_fds(10)


def is_served(porthole):
    try:
        return wire.exchange(porthole.address).status == 200
    except (EOFError, ConnectionError):
        return False


@test("limits.connections_per_uid counts tunnels, and lets them go")
def uid_tunnels(context):
    porthole, board = house(context, listener={"limits": {"connections_per_uid": 3}})
    for _ in range(5):
        tunnels = []
        while len(tunnels) < 3:
            try:
                tunnels.append(ends.open_tunnel(porthole.address, board))
            except (EOFError, ConnectionError):
                time.sleep(0.01)  # the last ones' ends are still on their way
        with wire.client(porthole.address) as client:
            try:
                client.send(ends.offer())
            except ConnectionError:
                pass
            ends.await_end(client)
        for i, tunnel in enumerate(tunnels):
            ends.swap(tunnel)
            (tunnel.client if i % 2 else tunnel.target).close()
            ends.await_end(tunnel.target if i % 2 else tunnel.client)
            tunnel.close()
    porthole.check_outcomes("/tunnel", 15, "tunneled")
    porthole.check_fds(10)


# ---- one stalled peer costs others nothing: measured ----

REQUESTS = 1500


def latencies(address, n=REQUESTS):
    """Seconds for each of n requests of a good client, on one connection and on new ones in turn."""
    found = []
    with wire.client(address, 30) as kept:
        for i in range(n):
            begin = time.monotonic()
            if i % 8:
                kept.send(wire.head("POST", "/healthy", "Content-Length: 100") + b"x" * 100)
                assert wire.Response(kept).status == 200
            else:
                assert wire.exchange(address, "POST", "/healthy", body=b"x" * 100, timeout=30).status == 200
            found.append(time.monotonic() - begin)
    return sorted(found)


def describe(found):
    return f"p50 {statistics.median(found) * 1e6:.0f} us, p99 {found[len(found) * 99 // 100] * 1e6:.0f} us, slowest {found[-1] * 1e6:.0f} us"


def stall_in_head(_context, porthole, _board):
    clients = [wire.client(porthole.address, 30) for _ in range(MANY)]
    for client in clients:
        client.send(b"POST /bad/stall HTTP/1.1\r\nHost: x\r\nX-Begun: ")
    return clients, []


def stall_in_upload(_context, porthole, board):
    clients = [wire.client(porthole.address, 30) for _ in range(MANY)]
    for client in clients:
        client.send(wire.head("POST", "/bad/stall", "Content-Length: 1000000") + b"x" * 5000)
    return clients, [board.take_request(body=False) for _ in clients]


def stall_in_download(_context, porthole, board):
    clients = [wire.client(porthole.address, 30) for _ in range(MANY)]
    for client in clients:
        client.send(wire.head("GET", "/bad/stall"))
    targets = [board.take_request() for _ in clients]
    for target in targets:
        fill(target.sock, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    return clients, targets


def stall_in_tunnel(_context, porthole, board):
    tunnels = []
    for _ in range(MANY):
        client = wire.client(porthole.address, 30)
        client.send(ends.offer(target="/bad/stall"))
        target = board.take_request()
        target.send(ends.agreement())
        assert wire.Response(client, body=False).status == 101
        fill(client.sock)
        fill(target.sock)
        tunnels.append((client, target))
    return [client for client, _ in tunnels], [target for _, target in tunnels]


def stall_in_answer(_context, porthole, board):
    """The targets stall here: they have the request and say nothing."""
    clients = [wire.client(porthole.address, 30) for _ in range(MANY)]
    for client in clients:
        client.send(wire.head("GET", "/bad/stall"))
    return clients, [board.take_request() for _ in clients]


def fill(sock, first=b""):
    """Sends until nothing more is taken."""
    sock.settimeout(None)
    sock.sendall(first)
    sock.setblocking(False)
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        try:
            sock.send(b"x" * 65536)
            end = time.monotonic() + 0.02
        except BlockingIOError:
            time.sleep(0.002)


def queue_behind(without, beside):
    """What a round of latencies says of a queue behind the stalled, "" if nothing."""
    p50 = [statistics.median(found) for found in (without, beside)]
    p99 = [found[REQUESTS * 99 // 100] for found in (without, beside)]
    if p50[1] > 5 * p50[0] + 0.002 or p99[1] > 10 * p99[0] + 0.02:
        return f"p50 {p50[1]:.4f} s, {p50[0]:.4f} s without them; p99 {p99[1]:.4f} s, {p99[0]:.4f} s without them"
    return ""


def make_stall_test(name, stall):
    def run(context):
        healthy = peers.Target(context, f"unix:{context.path('healthy.sock')}", peers.echo)
        board = ends.Board(context, f"unix:{context.path('target.sock')}")
        porthole = Porthole(context, {"/bad": {"endpoints": [board.endpoint], "connections": ends.QUICK,
                                               "timeouts": {"response": "10m"}},
                                      "/healthy": {"endpoints": [healthy.endpoint]}},
                            listener={"timeouts": {"head": "10m", "body": "10m"}})
        latencies(porthole.address, 200)
        without = latencies(porthole.address)
        context.note(f"without them: {describe(without)}")
        clients, targets = stall(context, porthole, board)
        # A queue shows in every round, a machine that has other work in some.
        for _ in range(5):
            beside = latencies(porthole.address)
            context.note(f"with {MANY}:     {describe(beside)}")
            queue = queue_behind(without, beside)
            if not queue:
                break
        assert not queue, queue
        ended = [entry for entry in porthole.entries() if entry["request"] != "/healthy"]
        assert not ended, f"{len(ended)} were stalled no longer: {ended[:3]}"
        for end in clients + targets:
            end.close()
        assert len(porthole.entries("/healthy")) > 2 * REQUESTS
        assert {entry["outcome"] for entry in porthole.entries("/healthy")} == {"forwarded"}

    test(f"{MANY} peers stalled in {name} cost a good client nothing", 120)(run)


make_stall_test("their heads", stall_in_head)
make_stall_test("uploads", stall_in_upload)
make_stall_test("downloads", stall_in_download)
make_stall_test("tunnels", stall_in_tunnel)
make_stall_test("their targets' answers", stall_in_answer)


@test("a tunnel and a download at full speed leave others their turn", 120)
def greedy(context):
    healthy = peers.Target(context, f"unix:{context.path('healthy.sock')}", peers.echo)
    board = ends.Board(context, f"unix:{context.path('target.sock')}")
    giving = peers.Target(context, f"unix:{context.path('giving.sock')}", bodies.giving)
    porthole = Porthole(context, {"/bad": board.endpoint, "/give": giving.endpoint, "/healthy": healthy.endpoint})
    without = latencies(porthole.address, 500)
    client = wire.client(porthole.address, 30)
    client.send(ends.offer(target="/bad"))
    target = board.take_request()
    target.send(ends.agreement())
    assert wire.Response(client, body=False).status == 101
    download = wire.client(porthole.address, 30)
    download.send(wire.head("GET", "/give", f"X-Size: {1 << 40}", "X-Answer: sized"))
    ended, moved = threading.Event(), [0, 0]

    def send(sock):
        try:
            while not ended.is_set():
                sock.sendall(b"x" * 262144)
        except OSError:
            pass

    def take(sock, i):
        try:
            while not ended.is_set():
                moved[i] += len(sock.recv(262144))
        except OSError:
            pass

    threads = [threading.Thread(target=function, args=arguments, daemon=True)
               for function, arguments in ((send, [client.sock]), (take, [target.sock, 0]), (take, [download.sock, 1]))]
    for thread in threads:
        thread.start()
    beside = latencies(porthole.address, 500)
    ended.set()
    for end in (client, target, download):
        end.sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)
    context.note(f"without them: {describe(without)}")
    context.note(f"beside them:  {describe(beside)}, while {moved[0] >> 20} and {moved[1] >> 20} MiB went through")
    assert min(moved) > 1 << 20, moved
    # Most of it is the machine's CPUs, which all these threads share.
    assert beside[len(beside) * 99 // 100] < 0.5, describe(beside)
