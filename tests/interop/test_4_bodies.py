"""Large bodies: whole, unchanged, and never in porthole's memory. SHORT=1 sends 256 MiB instead of 2 GiB (make check-bodies)."""

import os
import random
import threading
import time

import peers
import wire
from porthole import Memory, Porthole, need_plain_build
from tap import test

SIZE = (256 << 20) if os.environ.get("SHORT") else (2 << 30)
SECONDS = 60 if os.environ.get("SHORT") else 300
PERIOD = 1_000_003  # prime: whatever is lost, doubled or moved shows
BLOCK = 1 << 18
PATTERN = random.Random(4).randbytes(PERIOD)
PATTERN += PATTERN[: 2 * BLOCK]


def pattern_at(position, n):
    begin = position % PERIOD
    return PATTERN[begin : begin + n]


def send_pattern(connection, size, chunked=False, progress=None):
    """Makes the body as it goes."""
    sent = 0
    while sent < size:
        data = pattern_at(sent, min(BLOCK, size - sent))
        connection.send(wire.chunk(data) if chunked else data)
        sent += len(data)
        if progress is not None:
            progress[0] = sent
    if chunked:
        connection.send(b"0\r\n\r\n")


class Check:
    """Compares what comes with the pattern."""

    def __init__(self):
        self.position = 0

    def add(self, data):
        for begin in range(0, len(data), BLOCK):
            piece = data[begin : begin + BLOCK]
            assert piece == pattern_at(self.position, len(piece)), f"wrong within {len(piece)} bytes from {self.position}"
            self.position += len(piece)


def receive_pattern(connection, fields, size):
    check = Check()
    if "transfer-encoding" not in fields:
        assert int(fields["content-length"]) == size, fields
        check.add(bytes(connection.ahead))
        connection.ahead.clear()
        while check.position < size:
            data = connection.sock.recv(BLOCK)
            if not data:
                raise EOFError(f"ended after {check.position} of {size} bytes")
            check.add(data)
    else:
        for piece in connection.chunks():
            if isinstance(piece, bytes):
                check.add(piece)
    assert check.position == size, f"{check.position} bytes, not {size}"


def framing(size, chunked):
    return "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"


def giving(connection, target):
    """A target that sends as much as a GET asks for, in the framing that it asks for, and checks what comes with a POST."""
    while True:
        request = wire.Request(connection, body=False)
        n = int(request.fields["x-size"])
        if request.method == "POST":
            receive_pattern(connection, request.fields, n)
            target.mark("received")
            connection.send(wire.answer(b"received"))
        elif request.fields["x-answer"] == "close":
            connection.send(b"HTTP/1.0 200 OK\r\n\r\n")
            send_pattern(connection, n)
            return
        else:
            chunked = request.fields["x-answer"] == "chunked"
            connection.send(f"HTTP/1.1 200 OK\r\n{framing(n, chunked)}\r\n\r\n".encode())
            send_pattern(connection, n, chunked)


def download(address, size, kind):
    with wire.client(address, timeout=30) as client:
        client.send(wire.head("GET", "/", f"X-Size: {size}", f"X-Answer: {kind}"))
        got = wire.Response(client, body=False)
        assert got.status == 200, got.status
        receive_pattern(client, got.fields, size)


def upload(address, size, kind):
    chunked = kind == "chunked"
    with wire.client(address, timeout=30) as client:
        client.send(wire.head("POST", "/", f"X-Size: {size}", framing(size, chunked)))
        send_pattern(client, size, chunked)
        assert wire.Response(client).body == b"received"


def make_body_test(direction, kind, over):
    def run(context):
        need_plain_build()
        address = "tcp:127.0.0.1:0" if over == "TCP" else f"unix:{context.path('target.sock')}"
        target = peers.Target(context, address, giving)
        porthole = Porthole(context, {"/": target.endpoint})
        transfer = download if direction == "down" else upload
        transfer(porthole.address, 8 << 20, kind)  # what a first body needs is there
        begin = time.monotonic()
        with Memory(porthole):
            transfer(porthole.address, SIZE, kind)
        context.note(f"{SIZE >> 20} MiB at {SIZE / 1e6 / (time.monotonic() - begin):.0f} MB/s")
        assert not target.errors, target.errors
        porthole.check_outcomes("/", 2, "forwarded")

    size = f"{SIZE >> 20} MiB"
    test(f"body of {size} {direction}, {kind}, over {over}: unchanged, memory does not grow", SECONDS)(run)


for _over in ("Unix", "TCP"):
    for _kind in ("sized", "chunked", "close"):
        make_body_test("down", _kind, _over)
    for _kind in ("sized", "chunked"):
        make_body_test("up", _kind, _over)


@test("64 large bodies at a time, both ways: unchanged, memory bounded", 60)
def many_bodies(context):
    need_plain_build()
    target = peers.Target(context, f"unix:{context.path('target.sock')}", giving)
    porthole = Porthole(context, {"/": target.endpoint})
    size = 2 << 20

    def transfer(i):
        (download if i % 2 else upload)(porthole.address, size, "chunked" if i % 4 < 2 else "sized")

    peers.together(64, transfer)
    # Two buffers of less than 128 KiB per exchange, whatever its size.
    with Memory(porthole, 64 * 2 * 128):
        peers.together(64, transfer)
    assert not target.errors, target.errors


def await_standstill(progress, most):
    """The count stops, and below what sockets and bounded buffers may hold."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 1:
        if progress[0] != last:
            last, since = progress[0], time.monotonic()
        assert last < most, f"{last} bytes were taken although nobody reads them"
        time.sleep(0.02)
    assert last > 0
    return last


@test("back-pressure: a client that stops reading stops the target, then gets everything")
def back_pressure_down(context):
    need_plain_build()
    size, progress = 64 << 20, [0]

    def script(connection, _target):
        wire.Request(connection)
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        send_pattern(connection, size, False, progress)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client, Memory(porthole):
        client.send(wire.head())
        context.note(f"target stopped after {await_standstill(progress, 4 << 20)} bytes")
        got = wire.Response(client, body=False)
        receive_pattern(client, got.fields, size)
    porthole.check_outcomes("/", 1, "forwarded")


@test("back-pressure: a target that stops reading stops the client, then gets everything")
def back_pressure_up(context):
    need_plain_build()
    size, progress, go_on = 64 << 20, [0], threading.Event()

    def script(connection, _target):
        request = wire.Request(connection, body=False)
        go_on.wait(20)
        receive_pattern(connection, request.fields, size)
        connection.send(wire.answer(b"received"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client, Memory(porthole):
        client.send(wire.head("POST", "/", f"Content-Length: {size}"))
        sender = threading.Thread(target=send_pattern, args=(client, size, False, progress), daemon=True)
        sender.start()
        context.note(f"client stopped after {await_standstill(progress, 4 << 20)} bytes")
        go_on.set()
        assert wire.Response(client).body == b"received"
        sender.join(10)
    assert not target.errors, target.errors
    porthole.check_outcomes("/", 1, "forwarded")


@test("bodies of every size around the buffers' ends arrive unchanged, both framings, both ways")
def edges(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    sizes = [0, 1, 2] + [edge + d for edge in (1024, 4096, 16384, 32768, 65536, 131072) for d in (-1, 0, 1)]
    client = wire.client(porthole.address)
    for size in sizes:
        body = pattern_at(size, size)
        for up in (False, True):
            for down in ("sized", "chunked"):
                client.send(wire.head("POST", "/", framing(size, up), f"X-Answer: {down}"))
                client.send((wire.chunk(body) if body else b"") + b"0\r\n\r\n" if up else body)
                got = wire.Response(client)
                assert got.status == 200 and got.body == body, (size, up, down, got.status, len(got.body))
                client = wire.again(client, got, porthole.address)
    client.close()


@test("body that lasts until the close: whole at the client, and its end can be told")
def until_close(context):
    size = 5_000_000

    def script(connection, _target):
        wire.Request(connection)
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        send_pattern(connection, size, False)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    for _ in range(5):
        got = wire.exchange(porthole.address)
        check = Check()
        check.add(got.body)
        assert check.position == size
        assert got.fields.get("transfer-encoding") == "chunked" or got.fields.get("connection") == "close"
    with wire.client(porthole.address) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: interop\r\n\r\n")
        got = wire.Response(client)
        assert "transfer-encoding" not in got.fields and len(got.body) == size
