"""Bodies through porthole, sized, chunked and until the close, each way: a target and its clients.

  whole ADDRESS...     bodies of sizes around those at which something changes arrive unchanged
  large ADDRESS...     the same of one of 300,000 bytes, of each kind each way
  cut ADDRESS...       bodies that end before their end, at each offset around the ends of blocks and in each byte of a
                       chunk's frame, are whole to nobody
  during ADDRESS...    begins a body of each kind each way, says "begun", and goes on with all of them when there is a
                       line on standard input, until each is whole ("whole")

The target listens at BODIES_TARGETS, addresses as unix:PATH or tcp:HOST:PORT with spaces between them. ADDRESSes are
listeners of porthole in front of them. What is wrong is said, a line each, and the exit status is 1 then.
"""

import itertools
import os
import queue
import socket
import sys
import threading
import time

SIZE = 300_000
CHUNK = 70_000
PATTERN = bytes(i % 251 for i in range(251)) * (8_000_000 // 251)
EDGES = (0, 8192, 16384, 32768, 65536, 131072, 196608, 262144)
UP, DOWN = ("sized", "chunked"), ("sized", "chunked", "close")

uploads = {}  # of their id: a queue of what the target made of it
begun = {}  # of their id: the target has the head
gates = {}  # of an id: who sends the second half of a body waits for it
halves = threading.Semaphore(0)  # of bodies that wait at a gate
ids = itertools.count()
failures = []


def parts(address):
    kind, rest = address.split(":", 1)
    if kind == "unix":
        return socket.AF_UNIX, rest
    host, port = rest.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


def connect(address):
    family, where = parts(address)
    s = socket.socket(family)
    s.settimeout(20)
    s.connect(where)
    if family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Wire:
    """What comes over a connection. EOFError and OSError when nothing more does."""

    def __init__(self, sock):
        self.sock, self.ahead = sock, b""

    def more(self):
        piece = self.sock.recv(1 << 18)
        if not piece:
            raise EOFError
        self.ahead += piece

    def until(self, mark):
        while mark not in self.ahead:
            self.more()
        text, self.ahead = self.ahead.split(mark, 1)
        return text.decode()

    def take(self, n, into):
        while n > 0:
            if not self.ahead:
                self.more()
            piece, self.ahead = self.ahead[:n], self.ahead[n:]
            into.extend(piece)
            n -= len(piece)

    def take_chunks(self, into):
        while True:
            n = int(self.until(b"\r\n"), 16)
            if n == 0:
                while self.until(b"\r\n"):
                    pass
                return
            self.take(n, into)
            if self.until(b"\r\n"):
                raise ValueError("a chunk that does not end where it says")

    def message(self):
        """Its first line, its fields, its body as far as it came, and whether that was all of it."""
        first, *lines = self.until(b"\r\n\r\n").split("\r\n")
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = bytearray()
        try:
            if fields.get("transfer-encoding") == "chunked":
                self.take_chunks(body)
            else:
                self.take(int(fields.get("content-length", 0)), body)
        except (EOFError, OSError):
            return first, fields, body, False
        return first, fields, body, True


def framed(kind, size):
    """A body as it is on the wire, and what its head says of it."""
    if kind == "sized":
        return PATTERN[:size], f"Content-Length: {size}\r\n"
    if kind == "close":
        return PATTERN[:size], ""
    pieces = []
    for begin in range(0, size, CHUNK):
        data = PATTERN[begin : min(begin + CHUNK, size)]
        pieces.append(b"%x\r\n%s\r\n" % (len(data), data))
    return b"".join(pieces) + b"0\r\n\r\n", "Transfer-Encoding: chunked\r\n"


def send(sock, head, wire, cut, gate):
    """The head and so much of the wire; of every other cut the last byte comes by itself. With a gate the second half
    waits for it."""
    data = head.encode() + wire[:cut]
    try:
        if gate:
            middle = len(head) + len(wire) // 2
            sock.sendall(data[:middle])
            halves.release()
            gate.wait(60)
            data = data[middle:]
        elif cut % 2:
            sock.sendall(data[:-1])
            time.sleep(0.001)
            data = data[-1:]
        sock.sendall(data)
    except OSError:
        pass  # who has broken off says so


# ---- the target ----


def answer(sock, fields):
    """As the request asks for it. A connection that is to break off has something unread, so that it is reset."""
    kind, size, cut = fields["x-kind"], int(fields["x-size"]), int(fields["x-cut"])
    wire, head = framed(kind, size)
    whole = cut < 0
    if whole:
        sock.recv(1)
    version = "1.0" if kind == "close" else "1.1"
    send(sock, f"HTTP/{version} 200 OK\r\n{head}\r\n", wire, len(wire) if whole else cut, gates.get(fields["x-id"]))
    return whole and kind != "close"


def next_head(sock):
    """And nothing of what is behind it. What asks for a body has one of a byte, which is there then."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        seen = sock.recv(65536, socket.MSG_PEEK)
        if not seen:
            break
        n = seen.find(b"\r\n\r\n") + 4
        if n > 3 and (len(seen) > n or b"X-Kind" not in seen):
            return sock.recv(n).decode()
        time.sleep(0.001)
    raise EOFError


def serve(sock):
    wire = Wire(sock)
    try:
        while True:
            head = next_head(sock)
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            if "x-kind" in fields:
                if not answer(sock, fields):
                    return
            else:
                wire.ahead = head.encode()
                begun[fields["x-id"]].set()
                _, fields, body, whole = wire.message()
                uploads[fields["x-id"]].put((bytes(body), whole))
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (EOFError, OSError):
        pass
    finally:
        sock.close()


def listen(address):
    family, where = parts(address)
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(where)
    listener.listen(256)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


# ---- clients ----


def expect(right, *what):
    if not right:
        failures.append(" ".join(map(str, what)))


def download(address, kind, size, cut, mark=None):
    """The body that came, and whether it was whole. The byte of a body makes a target that breaks off reset."""
    with connect(address) as s:
        s.sendall(
            f"POST /{kind} HTTP/1.1\r\nHost: a\r\nX-Kind: {kind}\r\nX-Size: {size}\r\nX-Cut: {cut}\r\n"
            f"X-Id: {mark}\r\nContent-Length: 1\r\n\r\nx".encode()
        )
        try:
            first, _, body, whole = Wire(s).message()
        except (EOFError, OSError):
            return b"", False
        return bytes(body), whole and first.startswith("HTTP/1.1 200 ")


def upload(address, kind, size, cut, mark=None, gate=None):
    """The same of what the target got."""
    mark = mark or str(next(ids))
    uploads[mark], begun[mark] = queue.Queue(), threading.Event()
    wire, head = framed(kind, size)
    with connect(address) as s:
        send(s, f"POST /up HTTP/1.1\r\nHost: a\r\nX-Id: {mark}\r\n{head}\r\n", wire, len(wire) if cut < 0 else cut, gate)
        if cut >= 0:
            if not begun[mark].wait(10):
                return b"", False
            s.close()
            return uploads[mark].get(timeout=10)
        first, _, body, whole = Wire(s).message()
        expect(whole and body == b"ok" and first.startswith("HTTP/1.1 200 "), "an upload is answered:", first)
    return uploads[mark].get(timeout=10)


def kinds():
    return [(upload, kind) for kind in UP] + [(download, kind) for kind in DOWN]


def together(addresses, run):
    """Each kind each way by itself: much of the time is spent on waiting."""

    def one(*what):
        try:
            run(*what)
        except (OSError, EOFError, ValueError, queue.Empty) as error:
            expect(False, *what, repr(error))

    threads = [threading.Thread(target=one, args=(a, move, kind)) for a in addresses for move, kind in kinds()]
    for thread in threads:
        thread.start()
    return threads


def whole_one(address, move, kind):
    for size in sorted({0, 1, SIZE} | {edge + d for edge in EDGES[1:] for d in (-1, 0, 1)}):
        body, all_of_it = move(address, kind, size, -1)
        expect(all_of_it and body == PATTERN[:size], address, move.__name__, kind, size, "came as", len(body))


def whole(addresses):
    for thread in together(addresses, whole_one):
        thread.join()


def large_one(address, move, kind):
    body, all_of_it = move(address, kind, SIZE, -1)
    expect(all_of_it and body == PATTERN[:SIZE], address, move.__name__, kind, "came as", len(body))


def large(addresses):
    for thread in together(addresses, large_one):
        thread.join()


def offsets(kind):
    """Where a body is cut."""
    wire, _ = framed(kind, SIZE)
    near = {edge + d for edge in EDGES for d in range(-2, 3)} | set(range(len(wire) - 12, len(wire)))
    if kind == "chunked":
        frames = [i * (CHUNK + 9) for i in range(SIZE // CHUNK + 1)]
        near |= {frame + d for frame in frames for d in range(-3, 9)}
    return sorted(n for n in near if 0 <= n < len(wire))


def cut_one(address, move, kind):
    for offset in offsets(kind):
        body, all_of_it = move(address, kind, SIZE, offset)
        what = (address, move.__name__, kind, "cut at", offset)
        expect(not all_of_it, *what, "is taken for whole")
        expect(body == PATTERN[: len(body)] and len(body) <= min(offset, SIZE), *what, "is another body")
    large_one(address, move, kind)


def cut(addresses):
    for thread in together(addresses, cut_one):
        thread.join()


def during(addresses):
    """Half of each body has left its sender."""
    size, gate = 4_000_000, threading.Event()

    def one(address, move, kind):
        mark = str(next(ids))
        gates[mark] = gate
        if move is download:
            body, all_of_it = download(address, kind, size, -1, mark)
        else:
            body, all_of_it = upload(address, kind, size, -1, mark, gate)
        expect(all_of_it and body == PATTERN[:size], address, move.__name__, kind, "came as", len(body))

    threads = together(addresses, one)
    for _ in threads:
        halves.acquire(timeout=25)
    print("begun", flush=True)
    sys.stdin.readline()
    gate.set()
    for thread in threads:
        thread.join()
    print("whole" if not failures else "not whole", flush=True)


for target in os.environ["BODIES_TARGETS"].split():
    listen(target)
{"whole": whole, "large": large, "cut": cut, "during": during}[sys.argv[1]](sys.argv[2:])
for failure in failures[:20]:
    print(failure)
sys.exit(bool(failures))
