"""A process that is stopped for longer than every time-out (SIGSTOP, docker pause, a machine without a moment for it) finds
what arrived meanwhile, and not the time-out."""

import contextlib
import os
import signal
import threading
import time

import peers
import wire
from ends import house, open_tunnel, swap
from porthole import Porthole
from tap import test
from test_6_network import LOCAL, Authority

SECONDS = 5  # of each time-out: everything before the stop takes less, on a busy machine, too
EACH = f"{SECONDS}s"
MANY = 300  # more than one look at descriptors shows


@contextlib.contextmanager
def frozen(porthole):
    """Stopped while the block runs, and until every time-out that runs has passed."""
    def is_stopped():
        with open(f"/proc/{porthole.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    os.kill(porthole.pid, signal.SIGSTOP)
    try:
        peers.until(is_stopped, 10)
        end = time.monotonic() + SECONDS + 1
        yield
        time.sleep(max(0, end - time.monotonic()))
    finally:
        os.kill(porthole.pid, signal.SIGCONT)


def freezer(context, **options):
    listener = {"timeouts": {"head": EACH, "body": EACH, "idle": EACH}}
    return house(context, listener=listener, timeouts={"response": EACH, "idle": EACH, "tunnel": EACH, "connect": EACH},
                 connections={"idle": 0}, **options)


def be_silent():
    """After a second without a byte a client's deadline itself is what runs."""
    time.sleep(1.2)


def ask(porthole, target="/asked"):
    client = wire.client(porthole.address, 30)
    client.send(wire.head("GET", target))
    return client


def took(client, method="GET", body=b"taken"):
    got = wire.Response(client, method)
    assert (got.status, got.body) == (200, body), f"{got.status} {got.body}"


@test("a stop longer than timeouts.response: an answer that came meanwhile is forwarded", 60)
def one_answer(context):
    porthole, board = freezer(context)
    with ask(porthole) as client:
        end = board.take_request()
        with frozen(porthole):
            end.send(wire.answer(b"taken"))
        took(client)
    porthole.check_outcomes("/asked", 1, "forwarded")
    porthole.stop()


@test(f"the same with {MANY} exchanges at once: {MANY} answers", 60)
def many_answers(context):
    unix, unix_board = freezer(context)
    clients = [ask(unix) for _ in range(MANY)]
    ends = [unix_board.take_request() for _ in clients]
    with frozen(unix):
        for end in ends:
            end.send(wire.answer(b"taken"))
    for client in clients:
        took(client)
        client.close()
    unix.check_outcomes("/asked", MANY, "forwarded", 20)
    unix.stop()


@test(f"a stop longer than timeouts.head and timeouts.body: {MANY} requests whose rest came meanwhile are served", 60)
def many_requests(context):
    porthole, board = freezer(context)
    pieces = [(b"GET /asked HTTP/1.1\r\nHost: x\r\n", b"\r\n"),
              (b"POST /asked HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na", b"b")]
    clients = []
    for i in range(MANY):
        clients.append(wire.client(porthole.address, 30))
        clients[-1].send(pieces[i % 2][0])
    halves = [board.take() for _ in clients[1::2]]
    be_silent()
    with frozen(porthole):
        for i, client in enumerate(clients):
            client.send(pieces[i % 2][1])
    for end in halves + [board.take() for _ in clients[::2]]:
        request = wire.Request(end)
        assert request.body in (b"", b"ab"), request.body
        end.send(wire.answer(b"taken"))
    for client in clients:
        took(client)
        client.close()
    porthole.check_outcomes("/asked", MANY, "forwarded", 20)
    porthole.stop()


@test("a stop longer than the time-outs of what is under way: an idle client, a body from the target, a tunnel go on", 60)
def under_way(context):
    porthole, board = freezer(context)
    idle, fresh, reader = ask(porthole, "/first"), wire.client(porthole.address, 30), ask(porthole, "/body")
    ends = [board.take_request(), board.take_request()]
    first, body = ends if ends[0].request.target == "/first" else ends[::-1]
    first.send(wire.answer(b"taken"))
    took(idle)
    body.send(wire.answer(b"ab")[:-1])
    tunnel = open_tunnel(porthole.address, board)
    swap(tunnel)
    be_silent()
    with frozen(porthole):
        idle.send(wire.head("GET", "/second"))
        fresh.send(wire.head("GET", "/second"))
        body.send(b"b")
        tunnel.target.send(b">meanwhile")
    took(reader, body=b"ab")
    assert tunnel.client.exactly(10) == b">meanwhile"
    swap(tunnel)
    for _ in range(2):
        board.take_request().send(wire.answer(b"taken"))
    took(idle)
    took(fresh)
    tunnel.close()
    for client in (idle, fresh, reader):
        client.close()
    porthole.check_outcomes("/second", 2, "forwarded")
    porthole.check_outcomes("/body", 1, "forwarded")
    porthole.stop()


@test("a stop longer than timeouts.connect, in the middle of a TLS handshake: the connection is made all the same", 60)
def handshake(context):
    authority, gate = Authority(context), threading.Event()
    server = authority.server(LOCAL)

    def shake_hands(sock):
        gate.wait(40)
        return server.wrap_socket(sock, server_side=True)

    target = peers.Target(context, "tcp:127.0.0.1:0", peers.echo, around=shake_hands)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint.replace("http:", "https:")], "tls": {"ca": authority.ca},
                                        "timeouts": {"connect": EACH}}})
    with ask(porthole) as client:
        peers.until(lambda: target.n_accepted == 1, 10)
        with frozen(porthole):
            gate.set()
        got = wire.Response(client)
        assert got.status == 200, f"{got.status} {got.body} {porthole.entries()}"
    porthole.check_outcomes("/asked", 1, "forwarded")
    porthole.stop()


@test("a stop longer than timeouts.connect: whoever waits for one of connections.max has it in turn", 60)
def queued(context):
    n = 8
    porthole, board = house(context, connections={"max": 1}, timeouts={"connect": EACH, "response": "1m"})
    clients = [ask(porthole) for _ in range(n)]
    target = board.take_request()
    with frozen(porthole):
        target.send(wire.answer(b"taken"))
    for _ in range(n - 1):
        time.sleep(0.05)
        wire.Request(target)
        target.send(wire.answer(b"taken"))
    for client in clients:
        took(client)
        client.close()
    porthole.check_outcomes("/asked", n, "forwarded")
    porthole.stop()


@test("a stop longer than hold: a request that waits for a target that came meanwhile is served", 60)
def held(context):
    path = f"{context.dir}/late"
    porthole = Porthole(context, {"/": {"endpoints": [f"unix:{path}"], "hold": EACH}})
    with ask(porthole) as client:
        peers.until(lambda: any("inotify" in name for name in porthole.fd_names()), 10)
        with frozen(porthole):
            peers.Target(context, f"unix:{path}", peers.echo)
        got = wire.Response(client)
        assert got.status == 200, f"{got.status} {got.body} {porthole.entries()}"
    porthole.check_outcomes("/asked", 1, "forwarded")
    porthole.stop()
