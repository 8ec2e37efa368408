"""Both ends of a tunnel in the hands of one test: a target that hands its connections over, and bytes that are checked."""

import queue
import select
import socket
import threading
import time

import peers
import test_4_bodies as bodies
import wire
from porthole import Porthole

QUICK = {"idle_timeout": "100ms", "max": 3000}  # so that descriptors can be counted
KEPT = {"idle_timeout": "60s"}  # for who must be on the same connection again, however long that takes


class End(wire.Wire):
    """A target's end. Closing it is final: nothing else holds its descriptor."""

    def __init__(self, sock):
        super().__init__(sock)
        self.sock.settimeout(20)
        self.over = threading.Event()
        self.request = None

    def close(self):
        self.sock.close()
        self.over.set()


class Board(peers.Target):
    """A target that does nothing by itself: the test takes each connection."""

    def __init__(self, context, address, **options):
        self.waiting = queue.Queue()
        super().__init__(context, address, self._hand, **options)

    def _hand(self, connection, _target):
        end = End(connection.sock)
        self.waiting.put(end)
        end.over.wait(120)

    def take(self, seconds=10):
        try:
            return self.waiting.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no connection has reached the target in {seconds} s") from None

    def take_request(self, body=True):
        """The next connection, with its first request read."""
        end = self.take()
        end.request = wire.Request(end, body)
        return end


class Tunnel:
    """Its two ends, and the 101 that opened it."""

    def __init__(self, client, target, response=None):
        self.client, self.target, self.response = client, target, response

    def close(self):
        self.client.close()
        self.target.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def offer(token="websocket", *lines, method="GET", target="/tunnel"):
    """The head of a request for an upgrade."""
    return wire.head(method, target, "Connection: Upgrade", f"Upgrade: {token}", *lines)


def agreement(token="websocket", *lines):
    """The target's 101."""
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {token}", *lines, "", ""]).encode()


def open_tunnel(address, board, token="websocket", ahead=b"", behind=b"", client=None):
    """`ahead` is written together with the request's head, `behind` with the 101."""
    client = client or wire.client(address, 20)
    client.send(offer(token) + ahead)
    target = board.take_request()
    assert target.request.fields.get("upgrade") == token, target.request.fields
    target.send(agreement(token) + behind)
    response = wire.Response(client, body=False)
    assert response.status == 101, response.status
    return Tunnel(client, target, response)


def swap(tunnel, text=b"ping"):
    """Bytes go both ways, exactly these."""
    tunnel.client.send(b"<" + text)
    assert tunnel.target.exactly(len(text) + 1) == b"<" + text
    tunnel.target.send(b">" + text)
    assert tunnel.client.exactly(len(text) + 1) == b">" + text


def flow(source, sink, size, end=True):
    """Starts to send a pattern from one end to the other; the function that is returned waits until all of it has come."""
    def send():
        bodies.send_pattern(source, size, False)
        if end:
            source.sock.shutdown(socket.SHUT_WR)

    errors = []
    threads = [threading.Thread(target=guarded, args=(errors, send), daemon=True),
               threading.Thread(target=guarded, args=(errors, lambda: take_pattern(sink, size, end)), daemon=True)]
    for thread in threads:
        thread.start()

    def wait(seconds=60):
        limit = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0, limit - time.monotonic()))
        assert not errors, errors
        assert not any(thread.is_alive() for thread in threads), f"{size} bytes have not arrived in {seconds} s"

    return wait


def guarded(errors, function):
    try:
        function()
    except BaseException as error:  # pylint: disable=broad-except
        errors.append(repr(error))


def take_pattern(sink, size, end=True):
    """Exactly the pattern, and behind it the end of file."""
    check = bodies.Check()
    check.add(bytes(sink.ahead))
    sink.ahead.clear()
    while check.position < size:
        data = sink.sock.recv(bodies.BLOCK)
        if not data:
            raise EOFError(f"ended after {check.position} of {size} bytes")
        check.add(data)
    assert check.position == size, f"{check.position} bytes, not {size}"
    if end:
        await_end(sink, reset=False)


def await_end(end, seconds=20, reset=True):
    """The other side is over; returns how long that took (peers.Watch). A reset counts as an end unless it must not."""
    watch = peers.Watch()
    end.sock.settimeout(seconds)
    try:
        data = bytes(end.ahead) or end.sock.recv(65536)
        assert not data, f"{data[:50]} ({len(data)} bytes) instead of the end"
    except ConnectionError:
        assert reset, "a reset instead of an end of file"
    return watch.fair()


def await_hang_up(end, seconds=10):
    """The other side of a Unix socket has closed it both ways. Nothing is written: who writes too early is told of."""
    poll = select.poll()
    poll.register(end.sock, 0)
    assert poll.poll(seconds * 1000), f"no hang-up in {seconds} s"


def await_broken(end, seconds=10):
    """Whoever goes on writing there fails: the other side has closed both ways."""
    def is_broken():
        try:
            end.sock.send(b"?", socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        return False

    peers.until(is_broken, seconds, "a broken pipe")


def blocked_sender(sender, most=8 << 20, size=64 << 20):
    """Sends a pattern that nobody reads until it stands still. Returns the bytes until then, and a function to wait with
    once somebody reads."""
    progress, errors = [0], []
    thread = threading.Thread(target=guarded, args=(errors, lambda: bodies.send_pattern(sender, size, False, progress)), daemon=True)
    thread.start()
    stopped_at = bodies.await_standstill(progress, most)

    def wait(seconds=60):
        thread.join(seconds)
        assert not errors and not thread.is_alive(), errors

    return stopped_at, wait


def house(context, route=None, listener=None, timeouts=None, connections=None, kind="unix", **top):
    """porthole in front of a target whose connections are handed over; Unix to Unix, or TCP to TCP."""
    board = Board(context, f"unix:{context.path('target.sock')}" if kind == "unix" else "tcp:127.0.0.1:0")
    target = {"endpoints": [board.endpoint], "connections": {**QUICK, **(connections or {})}, "timeouts": timeouts or {}}
    routes = [{"target": "t", **(route or {})}]
    address = f"unix:{context.path('app.sock')}" if kind == "unix" else f"tcp:127.0.0.1:{peers.free_port()}"
    porthole = Porthole(context, listeners=[{"bind": address, "routes": routes, **(listener or {})}], targets={"t": target}, **top)
    porthole.address = address
    porthole.remember_fds()
    return porthole, board


def hold_back(context, tunnel, way, size):
    """A reader that stops stops its writer, and not the other direction; then all bytes arrive."""
    sender, reader = (tunnel.client, tunnel.target) if way == "up" else (tunnel.target, tunnel.client)
    stopped_at, wait = blocked_sender(sender, 24 << 20, size)
    context.note(f"{way}: the writer stopped after {stopped_at} bytes")
    for _ in range(10):
        reader.send(b"meanwhile")
        assert sender.exactly(9) == b"meanwhile"
    take_pattern(reader, size, end=False)
    wait()


def check_end(porthole, n, outcomes="tunneled", request="/tunnel"):
    """All of them are over, in the log and in the process."""
    porthole.check_outcomes(request, n, outcomes, 10)
    porthole.check_fds(10)
    assert porthole.process.poll() is None, porthole.output()
