"""http.client and http.server on Unix sockets, and porthole between them."""

import hashlib
import http.client
import http.server
import os
import socket
import socketserver
import threading

import peers
import tap
from porthole import Porthole

DIRECT = os.environ.get("DIRECT") == "1"
# Where a listener of porthole's is, and what its target listens on.
WAYS = [("unix", "unix"), ("unix", "tcp"), ("tcp", "unix")]


def checksum(data):
    return hashlib.sha256(data).hexdigest()


class UnixConnection(http.client.HTTPConnection):
    """http.client to a socket's path; all that it takes is another connect."""

    def __init__(self, path, **options):
        super().__init__("localhost", **options)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class UnixServer(http.server.ThreadingHTTPServer):
    """http.server at a socket's path."""

    address_family = socket.AF_UNIX
    request_queue_size = 128 if DIRECT else 5  # http.server's own, which is full soon; porthole waits

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0


class TcpServer(http.server.ThreadingHTTPServer):
    """http.server on TCP; its own server_bind asks the name service."""

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address


class Handler(http.server.BaseHTTPRequestHandler):
    """Keeps connections, says nothing, and decodes chunked bodies, which http.server leaves to its users."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            assert self.rfile.read(2) == b"\r\n"
        while self.rfile.readline() != b"\r\n":
            pass
        return b"".join(pieces)

    def answer(self, body, status=200, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


class Between:
    """A server with `handler`, porthole before it, and connections to porthole (or, when DIRECT, to the server)."""

    def __init__(self, context, handler, listener="unix", target="unix", **top):
        self.context = context
        if target == "unix":
            server = UnixServer(context.path("target.sock"), handler)
            self.front, endpoint = server.server_address, f"unix:{server.server_address}"
        else:
            server = TcpServer(("127.0.0.1", 0), handler)
            self.front, endpoint = server.server_address, f"http://127.0.0.1:{server.server_port}"
        server.daemon_threads = True
        server.block_on_close = False
        context.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        context.callback(server.shutdown)
        self.connections = []
        self.porthole = None
        if not DIRECT:
            self._start(endpoint, listener, top)

    def _start(self, endpoint, listener, top):
        own = {}
        self.front = self.context.path("app.sock")
        if listener == "tcp":
            self.front = ("127.0.0.1", peers.free_port())
            own["bind"] = f"tcp:127.0.0.1:{self.front[1]}"
        self.porthole = Porthole(self.context, {"/": endpoint}, listener=own, **top)

    def connection(self):
        if isinstance(self.front, str):
            made = UnixConnection(self.front, timeout=20)
        else:
            made = http.client.HTTPConnection(*self.front, timeout=20)
        self.context.callback(made.close)
        self.connections.append(made)
        return made

    def check_outcomes(self, request, n, outcomes):
        if self.porthole:
            self.porthole.check_outcomes(request, n, outcomes, 10)

    def stop(self):
        """Every test ends with a stop that must succeed."""
        for connection in self.connections:
            connection.close()
        if self.porthole:
            self.porthole.stop()


def test(name, ways=(("unix", "unix"),)):
    """Registers a test for each way. It is given the context and what makes a Between of a handler."""

    def register(function):
        for way in ways:
            def run(context, way=way):
                made = []

                def between(handler):
                    made.append(Between(context, handler, *way, drain="1s"))
                    return made[-1]

                function(context, between)
                for one in made:
                    one.stop()

            tap.test(f"http.client, {way[0]} to {way[1]}: {name}", 30)(run)
        return function

    return register
