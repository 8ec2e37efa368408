"""Inside a tunnel: each direction is its own half, ends are carried at once, time and numbers are limited."""

import os
import socket
import threading
import time

import ends
import peers
import test_4_bodies as bodies
import test_6_network as network
import wire
from ends import check_end, house
from porthole import Memory, Porthole, need_plain_build
from tap import test

# ---- each direction is its own half ----

KINDS = ("unix", "tcp")


def for_kinds(name, seconds=60, kinds=KINDS):
    """A test of Unix to Unix, and the same of TCP to TCP."""
    def register(function):
        for kind in kinds:
            test(f"tunnel ({kind}): {name}", seconds)(lambda context, kind=kind: function(context, kind))
        return function

    return register


@for_kinds("64 MiB both ways at once arrive unchanged, memory bounded")
def both_ways(context, kind):
    porthole, board = house(context, kind=kind)
    size = 64 << 20
    with ends.open_tunnel(porthole.address, board) as tunnel, Memory(porthole):
        waits = [ends.flow(tunnel.client, tunnel.target, size), ends.flow(tunnel.target, tunnel.client, size)]
        for wait in waits:
            wait()
    check_end(porthole, 1)
    entry = porthole.entries("/tunnel")[0]
    assert (entry["bytes_in"], entry["bytes_out"]) == (size, size), entry


@for_kinds("a reader that stops stops the writer and no one else, memory bounded; then all bytes arrive")
def back_pressure(context, kind):
    need_plain_build()
    porthole, board = house(context, kind=kind)
    size = 64 << 20
    for way in ("up", "down"):
        with ends.open_tunnel(porthole.address, board) as tunnel, Memory(porthole):
            ends.hold_back(context, tunnel, way, size)
            ends.swap(tunnel)
    check_end(porthole, 2)


@for_kinds("both readers stop, both writers stand still, then all bytes arrive")
def both_blocked(context, kind):
    porthole, board = house(context, kind=kind)
    size = 64 << 20
    with ends.open_tunnel(porthole.address, board) as tunnel:
        _, wait_up = ends.blocked_sender(tunnel.client, 24 << 20, size)
        _, wait_down = ends.blocked_sender(tunnel.target, 24 << 20, size)
        ends.take_pattern(tunnel.target, size, end=False)
        ends.take_pattern(tunnel.client, size, end=False)
        wait_up()
        wait_down()
    check_end(porthole, 1)


@for_kinds("half-close is carried, the other direction flows on long after, both orders")
def half_close(context, kind):
    porthole, board = house(context, kind=kind)
    for order in ("client first", "target first"):
        with ends.open_tunnel(porthole.address, board) as tunnel:
            first, second = (tunnel.client, tunnel.target) if order == "client first" else (tunnel.target, tunnel.client)
            ends.swap(tunnel)
            first.send(b"last words")
            first.sock.shutdown(socket.SHUT_WR)
            assert second.exactly(10) == b"last words"
            assert ends.await_end(second, 5, reset=False) < 2
            for i in range(8):
                second.send(b"still %d" % i)
                assert first.exactly(7) == b"still %d" % i
                time.sleep(0.25)
            ends.flow(second, first, 4 << 20)()  # and half-closes
            second.sock.settimeout(5)
        assert porthole.await_entries("/tunnel", 1 + (order == "target first"))[-1]["outcome"] == "tunneled"
    check_end(porthole, 2)


@for_kinds("half-close by both at once, with bytes under way")
def half_close_both(context, kind):
    porthole, board = house(context, kind=kind)
    for size in (0, 1, 100_000, 3_000_000):
        with ends.open_tunnel(porthole.address, board) as tunnel:
            waits = [ends.flow(tunnel.client, tunnel.target, size), ends.flow(tunnel.target, tunnel.client, size)]
            for wait in waits:
                wait()
    check_end(porthole, 4)


@for_kinds("a client that half-closes together with its request, or before the 101, gets all of the answer")
def half_close_early(context, kind):
    porthole, board = house(context, kind=kind)
    for when in ("with the head", "later"):
        client = wire.client(porthole.address)
        client.send(ends.offer("tcp") + b"stdin")
        if when == "with the head":
            client.sock.shutdown(socket.SHUT_WR)
        target = board.take_request()
        if when == "later":
            client.sock.shutdown(socket.SHUT_WR)
            time.sleep(0.2)
        target.send(ends.agreement("tcp"))
        assert target.exactly(5) == b"stdin"
        ends.await_end(target, 5, reset=False)
        assert wire.Response(client, body=False).status == 101
        time.sleep(0.3)
        target.send(b"output")
        target.close()
        assert client.exactly(6) == b"output"
        ends.await_end(client, 5, reset=False)
        client.close()
    check_end(porthole, 2)


@for_kinds("a target that says its last word with the 101 and closes: the client gets it and the end")
def target_closes_with_101(context, kind):
    porthole, board = house(context, kind=kind)
    for size in (0, 10, 150_000):
        client = wire.client(porthole.address)
        client.send(ends.offer("tcp"))
        target = board.take_request()
        target.send(ends.agreement("tcp") + bodies.pattern_at(0, size))
        target.close()
        assert wire.Response(client, body=False).status == 101
        ends.take_pattern(client, size)
        client.close()
    check_end(porthole, 3)


# ---- ends ----

TIMES = 30


@for_kinds("whoever closes, the other side is closed at once; descriptors return")
def closes(context, kind):
    porthole, board = house(context, kind=kind)
    slowest = 0.0
    for i in range(TIMES):
        tunnel = ends.open_tunnel(porthole.address, board)
        ends.swap(tunnel)
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        first.close()
        slowest = max(slowest, ends.await_end(second, reset=False))
        if kind == "unix":
            ends.await_hang_up(second)
        second.close()
    assert slowest < 1, f"the other side was closed {slowest:.2f} s later"
    check_end(porthole, TIMES)


@for_kinds("idle for two seconds, then closed by one side: the other is closed at once")
def closes_idle(context, kind):
    porthole, board = house(context, kind=kind)
    tunnels = [ends.open_tunnel(porthole.address, board) for _ in range(10)]
    time.sleep(2)
    for i, tunnel in enumerate(tunnels):
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        first.close()
        assert ends.await_end(second, reset=False) < 1
        second.close()
    check_end(porthole, 10)


@for_kinds("closed with bytes unread: the other side is closed at once, nothing is left")
def closes_unread(context, kind):
    porthole, board = house(context, kind=kind)
    for i in range(TIMES):
        tunnel = ends.open_tunnel(porthole.address, board)
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        second.send(b"never read")
        peers.until(lambda: first.sock.recv(10, socket.MSG_PEEK) == b"never read")
        first.close()
        assert ends.await_end(second) < 1
        second.close()
    check_end(porthole, TIMES, {"tunneled", "client_gone", "target_reset"})


@for_kinds("closed while the other side's writing stands still: the writer is let go at once")
def closes_blocked(context, kind):
    porthole, board = house(context, kind=kind)
    for way in ("client leaves", "target leaves"):
        tunnel = ends.open_tunnel(porthole.address, board)
        first, second = (tunnel.client, tunnel.target) if way == "client leaves" else (tunnel.target, tunnel.client)
        second.sock.settimeout(0.5)
        try:
            while True:
                second.send(b"x" * 100_000)
        except TimeoutError:
            pass
        first.close()
        watch = peers.Watch()
        ends.await_broken(second)
        watch.check(0, 2)
        second.close()
    porthole.await_entries("/tunnel", 2, 10)
    assert [entry["outcome"] for entry in porthole.entries("/tunnel")] == ["client_gone", "target_reset"], porthole.entries("/tunnel")
    check_end(porthole, 2, {"client_gone", "target_reset"})


@for_kinds("what was written before a full close arrives whole at a slow reader")
def close_after_writing(context, kind):
    porthole, board = house(context, kind=kind)
    for i in range(6):
        size = (100, 150_000, 1_000_000)[i // 2]
        tunnel = ends.open_tunnel(porthole.address, board)
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        errors = []

        def write(end=first, size=size):
            bodies.send_pattern(end, size, False)
            end.close()

        thread = threading.Thread(target=ends.guarded, args=(errors, write), daemon=True)
        thread.start()
        time.sleep(0.3)
        ends.take_pattern(second, size)
        thread.join(10)
        assert not errors, errors
        second.close()
    check_end(porthole, 6)


@for_kinds("reset by either side: the other is ended at once, and the log says who", kinds=("tcp",))
def resets(context, kind):
    porthole, board = house(context, kind=kind)
    for i in range(20):
        tunnel = ends.open_tunnel(porthole.address, board)
        ends.swap(tunnel)
        first, second = (tunnel.client, tunnel.target) if i % 2 else (tunnel.target, tunnel.client)
        peers.reset(first)
        assert ends.await_end(second) < 1
        tunnel.close()
        porthole.await_entries("/tunnel", i + 1)
        assert porthole.entries("/tunnel")[-1]["outcome"] == ("client_gone" if i % 2 else "target_reset"), porthole.entries("/tunnel")[-1]
    check_end(porthole, 20, {"client_gone", "target_reset"})


# ---- time ----


@test("timeouts.tunnel: an idle tunnel is cut, tunnel_idle; bytes of either direction keep it")
def idle(context):
    porthole, board = house(context, timeouts={"tunnel": "3s"})
    watch = peers.Watch()
    tunnel = ends.open_tunnel(porthole.address, board)
    ends.await_end(tunnel.client)
    ends.await_end(tunnel.target)
    watch.check(2.95, 8)
    tunnel.close()
    check_end(porthole, 1, "tunnel_idle")
    for way in ("up", "down"):
        tunnel = ends.open_tunnel(porthole.address, board)
        first, second = (tunnel.client, tunnel.target) if way == "up" else (tunnel.target, tunnel.client)
        for _ in range(5):
            watch = peers.Watch()
            first.send(b"tick")
            assert second.exactly(4) == b"tick"
            time.sleep(1)
        ends.await_end(second)
        watch.check(2.95, 8)
        tunnel.close()
    check_end(porthole, 3, "tunnel_idle")


@test("timeouts.tunnel: half-closed and blocked tunnels are idle too")
def idle_others(context):
    porthole, board = house(context, timeouts={"tunnel": "1s"})
    half = ends.open_tunnel(porthole.address, board)
    half.client.sock.shutdown(socket.SHUT_WR)
    ends.await_end(half.target)
    blocked = ends.open_tunnel(porthole.address, board)
    blocked.client.sock.settimeout(0.3)
    try:
        while True:
            blocked.client.send(b"x" * 100_000)
    except TimeoutError:
        pass
    watch = peers.Watch()
    ends.await_end(half.client)
    ends.await_broken(half.target)
    ends.await_broken(blocked.client)
    watch.check(0, 4)
    half.close()
    blocked.close()
    check_end(porthole, 2, "tunnel_idle")


@test("the timeouts of exchanges and of the listener don't touch a tunnel")
def other_timeouts(context):
    short = "1500ms"
    porthole, board = house(context, timeouts={"response": short, "idle": short}, listener={"timeouts": {"head": short, "body": short, "idle": short}})
    with ends.open_tunnel(porthole.address, board) as tunnel:
        for _ in range(2):
            time.sleep(2)
            ends.swap(tunnel)
    check_end(porthole, 1)


@test("the handshake itself has timeouts.response: 504")
def no_agreement(context):
    porthole, board = house(context, timeouts={"response": "500ms"})
    with wire.client(porthole.address) as client:
        client.send(ends.offer())
        target = board.take_request()
        assert wire.Response(client).status == 504
        ends.await_end(target)
        target.close()
    check_end(porthole, 1, "response_timeout")


@test("SIGTERM: a tunnel lives on, and the stop ends when it does")
def drain(context):
    porthole, board = house(context, drain="20s")
    tunnels = [ends.open_tunnel(porthole.address, board) for _ in range(5)]
    os.kill(porthole.pid, 15)
    for _ in range(4):
        time.sleep(0.25)
        for tunnel in tunnels:
            ends.swap(tunnel)
    assert porthole.process.poll() is None, "it did not wait for its tunnels"
    for i, tunnel in enumerate(tunnels):
        (tunnel.client if i % 2 else tunnel.target).close()
        ends.await_end(tunnel.target if i % 2 else tunnel.client)
    watch = peers.Watch()
    assert porthole.process.wait(10) == 0, porthole.output()
    watch.check(0, 2)
    porthole.check_outcomes("/tunnel", 5, "tunneled")
    for tunnel in tunnels:
        tunnel.close()


@test("SIGTERM: what is still a tunnel at the drain deadline is cut, outcome stopped")
def drain_deadline(context):
    porthole, board = house(context, drain="1s")
    tunnels = [ends.open_tunnel(porthole.address, board) for _ in range(5)]
    watch = peers.Watch()
    os.kill(porthole.pid, 15)
    assert porthole.process.wait(10) == 0, porthole.output()
    watch.check(0.8, 4)
    for tunnel in tunnels:
        ends.await_end(tunnel.client)
        ends.await_end(tunnel.target)
        tunnel.close()
    porthole.check_outcomes("/tunnel", 5, "stopped")


@test("SIGTERM in the middle of a handshake: it is finished, the tunnel opened")
def drain_handshake(context):
    porthole, board = house(context, drain="20s")
    client = wire.client(porthole.address)
    client.send(ends.offer())
    target = board.take_request()
    os.kill(porthole.pid, 15)
    time.sleep(0.3)
    target.send(ends.agreement())
    assert wire.Response(client, body=False).status == 101
    with ends.Tunnel(client, target) as tunnel:
        ends.swap(tunnel)
    assert porthole.process.wait(10) == 0, porthole.output()
    porthole.check_outcomes("/tunnel", 1, "tunneled")


# ---- limits ----


@test("limits.connections counts tunnels: the next client waits until one ends")
def listener_limit(context):
    porthole, board = house(context, listener={"limits": {"connections": 3}})
    tunnels = [ends.open_tunnel(porthole.address, board) for _ in range(3)]
    waiting = wire.client(porthole.address)
    waiting.send(ends.offer())
    waiting.sock.settimeout(0.7)
    try:
        raise AssertionError(f"served although three are: {waiting.sock.recv(100)}")
    except TimeoutError:
        waiting.sock.settimeout(10)
    assert board.waiting.empty()
    tunnels[1].close()
    target = board.take_request()
    target.send(ends.agreement())
    assert wire.Response(waiting, body=False).status == 101
    ends.swap(ends.Tunnel(waiting, target))
    waiting.close()
    for tunnel in tunnels:
        tunnel.close()
    target.close()
    check_end(porthole, 4)


@test("connections.max of the target counts tunnels: 503 target_busy until one ends")
def target_limit(context):
    porthole, board = house(context, connections={"max": 2}, timeouts={"connect": "500ms"})
    tunnels = [ends.open_tunnel(porthole.address, board) for _ in range(2)]
    assert wire.exchange(porthole.address, "GET", "/busy").status == 503
    porthole.check_outcomes("/busy", 1, "target_busy")
    tunnels[0].target.close()
    ends.await_end(tunnels[0].client)
    ends.open_tunnel(porthole.address, board).close()
    ends.swap(tunnels[1])
    for tunnel in tunnels:
        tunnel.close()
    check_end(porthole, 3)


@test("access log: status 101, tunneled, the bytes of both directions, one line at the tunnel's end")
def access_log(context):
    porthole, board = house(context, listener={"name": "front"})
    tunnel = ends.open_tunnel(porthole.address, board, "tcp", ahead=b"x" * 11, behind=b"y" * 22)
    tunnel.target.exactly(11)
    tunnel.client.exactly(22)
    tunnel.client.send(b"x" * 100_000)
    tunnel.target.exactly(100_000)
    tunnel.target.send(b"y" * 50_000)
    tunnel.client.exactly(50_000)
    time.sleep(0.5)
    assert not porthole.entries("/tunnel"), "a line before the end"
    tunnel.close()
    entry = porthole.await_entries("/tunnel", 1)[0]
    assert entry["status"] == 101 and entry["outcome"] == "tunneled" and entry["method"] == "GET", entry
    assert (entry["bytes_in"], entry["bytes_out"]) == (100_011, 50_022), entry
    assert entry["listener"] == "front" and entry["target"] == "t" and entry["peer"].startswith("unix:uid="), entry
    assert 400_000 < entry["total_us"] < 20_000_000 and entry["id"], entry
    check_end(porthole, 1)


# ---- other transports, many ----


@test("tunnel to an https target: bytes whole both ways, ends carried", 60)
def tls(context):
    authority = network.Authority(context)
    server = authority.server(network.LOCAL)
    board = ends.Board(context, "tcp:127.0.0.1:0", around=lambda sock: server.wrap_socket(sock, server_side=True))
    endpoint = board.endpoint.replace("http:", "https:")
    porthole = Porthole(context, {"/": {"endpoints": [endpoint], "tls": {"ca": authority.ca}, "connections": ends.QUICK, "timeouts": {"connect": "5s"}}})
    porthole.remember_fds()
    size = 8 << 20
    with ends.open_tunnel(porthole.address, board, ahead=b"early", behind=b"late!") as tunnel:
        assert tunnel.target.exactly(5) == b"early" and tunnel.client.exactly(5) == b"late!"
        ends.swap(tunnel)
        ends.flow(tunnel.client, tunnel.target, size, end=False)()
        ends.flow(tunnel.target, tunnel.client, size, end=False)()
        ends.swap(tunnel)
        for _ in range(3):
            time.sleep(0.3)
            ends.swap(tunnel)
        tunnel.client.close()
        assert ends.await_end(tunnel.target) < 2
    with ends.open_tunnel(porthole.address, board) as tunnel:
        tunnel.target.send(b"farewell")
        tunnel.target.close()
        assert tunnel.client.exactly(8) == b"farewell"
        assert ends.await_end(tunnel.client, reset=False) < 2
    assert not board.errors, board.errors
    check_end(porthole, 2, {"tunneled", "target_reset"})


def echo(connection, _target):
    """A target that agrees to any upgrade and sends back what comes, to the end of file."""
    request = wire.Request(connection)
    connection.send(ends.agreement(request.fields["upgrade"]))
    while data := bytes(connection.ahead) or connection.sock.recv(65536):
        connection.ahead.clear()
        connection.send(data)
    connection.sock.shutdown(socket.SHUT_WR)
    try:
        connection.fill()  # porthole ends the connection, not we
    except EOFError:
        pass


def make_many_test(workers):
    def run(context):
        target = peers.Target(context, f"unix:{context.path('target.sock')}", echo)
        porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": ends.QUICK}}, workers=workers)
        porthole.remember_fds()

        def through(i):
            with wire.client(porthole.address, 60) as client:
                client.send(ends.offer())
                assert wire.Response(client, body=False).status == 101
                ends.flow(client, client, 300_000 + i)()

        peers.together(150, through)
        assert not target.errors, target.errors
        check_end(porthole, 150)

    test(f"150 tunnels at once to an echo, workers {workers}: every byte comes back", 120)(run)


make_many_test(1)
make_many_test(2)


@test("a thousand idle tunnels cost less than 8 KiB each", 120)
def thousand_idle(context):
    need_plain_build()
    target = peers.Target(context, f"unix:{context.path('target.sock')}", echo, backlog=2000)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": ends.QUICK}},
                        listener={"limits": {"connections": 2000}})
    porthole.remember_fds()

    def hold(n):
        clients = []
        for _ in range(n):
            client = wire.client(porthole.address, 30)
            context.callback(client.close)
            client.send(ends.offer() + b"x" * 2000)
            assert wire.Response(client, body=False).status == 101
            assert client.exactly(2000) == b"x" * 2000
            clients.append(client)
        return clients

    first = hold(20)
    time.sleep(2)
    before = porthole.rss_kib()
    held = hold(1000)
    # An idle connection's memory is given back after a second or two.
    peers.until(lambda: porthole.rss_kib() - before < 8 * 1000, 10, f"{porthole.rss_kib() - before} KiB for 1,000 tunnels: less")
    time.sleep(2)
    context.note(f"{before} KiB with 20 tunnels, {porthole.rss_kib()} KiB with 1,020: {(porthole.rss_kib() - before) / 1000:.2f} KiB each")
    assert porthole.rss_kib() - before < 8 * 1000
    for client in held:  # they really are tunnels
        client.send(b"alive")
        assert client.exactly(5) == b"alive"
    for client in first + held:
        client.close()
    check_end(porthole, 1020)
