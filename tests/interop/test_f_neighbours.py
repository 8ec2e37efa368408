"""Users of one socket, of whom one takes all that it can get: the others still get what they ask for."""

import json
import os
import subprocess

import peers
import wire
from porthole import Porthole, need_root
from tap import test

GREEDY, MODEST = 65001, 65002

# Holds as many connections as it can, each with something that never ends, and makes new ones for those that it loses.
# Says so as soon as each of them has been tried.
TAKER = """
import select, socket, sys, time
path, kind, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
BEGIN = {
    "drip": b"POST /taken HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100000\\r\\n\\r\\n",
    "chunks": b"POST /taken HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n",
    "tunnel": b"GET /taken HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n",
    "head": b"GET /taken HTTP/1.1\\r\\n",
    "stream": b"taken",
}[kind]
MORE = {"drip": b"x", "chunks": b"1\\r\\nx\\r\\n", "head": b"A: b\\r\\n"}.get(kind, b"")

def begin():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(path)
    sock.sendall(BEGIN)
    sock.setblocking(False)
    return sock

held = [begin() for _ in range(n)]
print("taken", flush=True)
while not select.select([sys.stdin], [], [], 0.2)[0]:
    for i, sock in enumerate(held):
        try:
            answer = sock.recv(1000)
            lost = not answer or not answer.startswith(b"HTTP/1.1 101")
        except BlockingIOError:
            lost = False
        except OSError:
            lost = True
        try:
            if lost:
                sock.close()
                held[i] = begin()
            elif MORE:
                sock.send(MORE)
        except OSError:
            pass
"""

# Requests one after the other, each on a connection of its own: what became of them, and in how many seconds.
ASKER = """
import json, socket, sys, time
path, n, request = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
results = []
for _ in range(n):
    begin = time.monotonic()
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    try:
        sock.connect(path)
        sock.sendall(request)
        answer = sock.recv(1000)
    except OSError as error:
        answer = b"- " + type(error).__name__.encode()
    results.append([answer.split()[1].decode() if b" " in answer else answer.decode(), time.monotonic() - begin])
    sock.close()
print(json.dumps(results))
"""

OPTIONS = {"extra_groups": [], "cwd": "/", "env": {"PATH": "/usr/bin:/bin"}, "text": True, "stdout": subprocess.PIPE}


def take(context, kind, n, uid=GREEDY):
    """A user who takes n of something, until the test is over."""
    process = subprocess.Popen(["/usr/bin/python3", "-c", TAKER, context.path("app.sock"), kind, str(n)], user=uid, group=uid,
                               stdin=subprocess.PIPE, **OPTIONS)
    context.callback(lambda: process.poll() is None and process.communicate("\n", timeout=20))
    assert process.stdout.readline() == "taken\n"
    return process


def ask(context, n, request="GET /asked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", uid=MODEST):
    """What another user gets: [status or what else came, seconds] of each."""
    done = subprocess.run(["/usr/bin/python3", "-c", ASKER, context.path("app.sock"), str(n), request], user=uid, group=uid,
                          timeout=120, check=True, stdin=subprocess.DEVNULL, **OPTIONS)
    return json.loads(done.stdout)


def served(context, n=10):
    """Another user's requests are all answered."""
    results = ask(context, n)
    context.note(f"the slowest of {n} took {max(seconds for _, seconds in results) * 1000:.0f} ms")
    assert all(status == "200" for status, _ in results), results


def answer_or_agree(connection, target):
    """Answers requests, agrees to upgrades, and holds what is begun."""
    while True:
        request = wire.Request(connection, body=False)
        target.mark(request.target)
        if "upgrade" in request.fields:
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            connection.sock.recv(1)
            return
        connection.body(request.fields)
        connection.send(wire.answer(b"ok"))


def house(context, connections=None, workers=1, **listener):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", answer_or_agree)
    made = {"endpoints": [target.endpoint], "connections": connections or {}, "timeouts": {"connect": "500ms"}}
    porthole = Porthole(context, {"/": made}, workers=workers, listener={"mode": "0666", **listener})
    return porthole, target


def make_target_test(kind):
    @test(f"connections.max: one user's endless {kind} leave places for another user")
    def run(context):
        need_root()
        _, target = house(context, {"max": 8})
        take(context, kind, 20)
        target.await_count("/taken", 7, 20)
        served(context)


for _kind in ("drip", "chunks", "tunnel"):
    make_target_test(_kind)


@test("connections.max: one user's endless streams leave places for another user")
def target_of_streams(context):
    need_root()

    def answer(connection, target):
        begin = connection.exactly(5)
        target.mark(begin)
        if begin != b"taken":
            connection.send(wire.answer(b"ok"))
        connection.sock.recv(1)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", answer)
    Porthole(context, targets={"t": {"endpoints": [target.endpoint], "connections": {"max": 8}, "timeouts": {"connect": "500ms"}}},
             listeners=[{"bind": f"unix:{context.path('app.sock')}", "mode": "0666", "stream": {"target": "t"}}])
    take(context, "stream", 20)
    target.await_count(b"taken", 7, 20)
    served(context)


@test("connections.max: all of it is one user's where only that user can come")
def target_of_one_user(context):
    need_root()
    _, target = house(context, {"max": 8}, peers={"allow": [{"uid": GREEDY}]})
    take(context, "drip", 20)
    target.await_count("/taken", 8, 20)


def make_listener_test(kind, workers):
    @test(f"limits.connections: one user's endless {kind} leave places for another user, {workers} workers")
    def run(context):
        need_root()
        porthole, _ = house(context, {"max": 100}, workers=workers, limits={"connections": 8}, timeouts={"head": "60s"})
        take(context, kind, 40)
        served(context)
        assert porthole.process.poll() is None


for _kind, _workers in (("drip", 1), ("head", 1), ("tunnel", 2), ("head", 3)):
    make_listener_test(_kind, _workers)


@test("limits.connections: one user's idle clients make room for its own, and another's stay")
def listener_idle(context):
    need_root()
    house(context, limits={"connections": 8}, peers={"allow": [{"uid": 0}, {"uid": GREEDY}, {"uid": MODEST}]})
    with wire.client(f"unix:{context.path('app.sock')}") as kept:
        kept.send(wire.head())
        assert wire.Response(kept).status == 200
        results = ask(context, 60, "GET /asked HTTP/1.1\r\nHost: x\r\n\r\n", GREEDY)
        assert all(status == "200" for status, _ in results), results
        take(context, "head", 40)
        served(context, 1)  # after all who were in the backlog by then
        kept.send(wire.head())
        assert wire.Response(kept).status == 200


# ---- refused peers ----

# Connects as fast as it can, on 400 sockets at a time, each until it is closed at the other end.
FLOOD = """
import select, socket, sys
path = sys.argv[1]
print("flooding", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    held = []
    for _ in range(400):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(path)
        held.append(sock)
    for sock in held:
        assert sock.recv(1) == b""
        sock.close()
"""

# Connects without waiting, which a full backlog answers with EAGAIN: how often that was, of so many.
KNOCK = """
import json, socket, sys, time
path, n = sys.argv[1], int(sys.argv[2])
n_full, slowest = 0, 0.0
for _ in range(n):
    begin = time.monotonic()
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(path)
    except BlockingIOError:
        n_full += 1
        continue
    sock.setblocking(True)
    sock.settimeout(20)
    sock.sendall(b"GET /asked HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    assert sock.recv(1000).startswith(b"HTTP/1.1 200")
    sock.close()
    slowest = max(slowest, time.monotonic() - begin)
print(json.dumps([n_full, slowest]))
"""


@test("peers: a flood of refused connections costs an admitted peer neither its place in the backlog nor its idle client")
def flood(context):
    need_root()
    porthole, _ = house(context, limits={"connections": 2}, peers={"allow": [{"uid": 0}, {"uid": MODEST}]})
    # Each has 400 connections in the backlog at most, so that two of them never fill it by themselves (1024).
    n_floods, n_knocks = int(os.environ.get("FLOODS", "2")), int(os.environ.get("KNOCKS", "30"))
    with wire.client(porthole.address) as kept:
        kept.send(wire.head())
        assert wire.Response(kept).status == 200
        for _ in range(n_floods):
            process = subprocess.Popen(["/usr/bin/python3", "-c", FLOOD, context.path("app.sock")], user=GREEDY, group=GREEDY,
                                       stdin=subprocess.PIPE, **OPTIONS)
            context.callback(lambda p=process: p.communicate("\n", timeout=20))
            assert process.stdout.readline() == "flooding\n"
        done = subprocess.run(["/usr/bin/python3", "-c", KNOCK, context.path("app.sock"), str(n_knocks)], user=MODEST, group=MODEST,
                              timeout=120, check=True, stdin=subprocess.DEVNULL, **OPTIONS)
        n_full, slowest = json.loads(done.stdout)
        context.note(f"{n_full} of {n_knocks} found the backlog full, the slowest other took {slowest * 1000:.0f} ms")
        assert n_full == 0, n_full
        kept.send(wire.head())
        assert wire.Response(kept).status == 200
    assert "a peer is not allowed" in porthole.output()
