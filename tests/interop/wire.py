"""HTTP/1.1 as bytes on a socket, for scripted clients and targets alike. Strict about framing: the tests judge by it."""

import socket
import time


class Wire:
    """A socket and what was read ahead from it."""

    def __init__(self, sock):
        self.sock, self.ahead = sock, bytearray()

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the connection ended")
        self.ahead += data

    def line(self):
        while (end := self.ahead.find(b"\r\n")) < 0:
            self.fill()
        line = bytes(self.ahead[:end])
        del self.ahead[: end + 2]
        return line.decode("latin-1")

    def exactly(self, n):
        while len(self.ahead) < n:
            self.fill()
        data = bytes(self.ahead[:n])
        del self.ahead[:n]
        return data

    def fields(self):
        fields = {}
        while line := self.line():
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
        return fields

    def chunks(self):
        """The data of each chunk; then the trailers, as a dict, last."""
        while size := int(self.line().partition(";")[0], 16):
            yield self.exactly(size)
            assert self.line() == "", "a chunk does not end where it should"
        yield self.fields()

    def body(self, fields, until_close=False):
        if "chunked" in fields.get("transfer-encoding", ""):
            return b"".join(list(self.chunks())[:-1])
        if "content-length" in fields:
            return self.exactly(int(fields["content-length"]))
        if not until_close:
            return b""
        while True:
            try:
                self.fill()
            except EOFError:
                return bytes(self.ahead)

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Careful(Wire):
    """Takes byte by byte, and nothing that was not asked for."""

    pause = 0

    def fill(self):
        data = self.sock.recv(1)
        if not data:
            raise EOFError("the connection ended")
        self.ahead += data
        time.sleep(self.pause)


class Request:
    """As a target reads it."""

    def __init__(self, wire, body=True):
        self.method, self.target, self.version = wire.line().split(" ")
        self.fields = wire.fields()
        self.body = wire.body(self.fields) if body else None


class Response:
    """As a client reads it; 1xx are counted and passed over, but for 101, behind which there is no HTTP."""

    def __init__(self, wire, method="GET", body=True):
        self.n_interim = -1
        self.status = 100
        while self.status < 200 and self.status != 101:
            self.n_interim += 1
            self.version, status, _, *_ = wire.line().split(" ", 2) + [""]
            self.status = int(status)
            self.fields = wire.fields()
        bodyless = method == "HEAD" or self.status in (101, 204, 304)
        self.body = None if not body else b"" if bodyless else wire.body(self.fields, until_close=True)


def connect(address, timeout=10):
    """A connected socket: "unix:/path", "unix:@abstract", "tcp:host:port"."""
    kind, _, rest = address.partition(":")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect("\0" + rest[1:] if rest.startswith("@") else rest)
        return sock
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def client(address, timeout=10):
    return Wire(connect(address, timeout))


def head(method="GET", target="/", *lines):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: interop", *lines, "", ""]).encode("latin-1")


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(body=b"", *lines, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]).encode("latin-1") + body


def again(end, got, address):
    """The connection for the next request: the same one, unless the answer said that it ends."""
    if got.fields.get("connection", "").lower() != "close":
        return end
    end.close()
    return client(address)


def exchange(address, method="GET", target="/", *lines, body=b"", timeout=10):
    """One request on a connection of its own."""
    if body:
        lines = (f"Content-Length: {len(body)}", *lines)
    with client(address, timeout) as wire:
        wire.send(head(method, target, *lines) + body)
        return Response(wire, method)


def dribble(sock, data, pause=0.001):
    for byte in data:
        sock.sendall(bytes([byte]))
        time.sleep(pause)
