"""Programs of other people over Unix sockets: curl, cpp-httplib, nginx, HAProxy, Python's http.client."""

import http.client
import os
import random
import re
import subprocess
import time

import peers
import wire
from porthole import Background, Porthole, need_program
from tap import Skip, test


def behind(context, routes=None, **options):
    """porthole in front of an echoing target."""
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    return Porthole(context, routes or {"/": target.endpoint}, **options), target


def pattern(n):
    return random.Random(n).randbytes(n)


def await_socket(path, process):
    def answers():
        assert process.process.poll() is None, process.output()
        try:
            wire.connect(f"unix:{path}").close()
            return True
        except OSError:
            return False

    peers.until(answers, 10, f"listening on {path}")


# ---- curl ----


class Curl:
    def __init__(self, context, porthole):
        self.program = need_program("curl")
        self.context, self.socket = context, porthole.address[len("unix:") :]

    def __call__(self, *arguments, expect=0):
        done = subprocess.run(
            [self.program, "-q", "-sS", "--max-time", "15", "--noproxy", "*", "--unix-socket", self.socket, *arguments],
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == expect, f"curl {arguments}: status {done.returncode}, {done.stderr.decode()}"
        return done.stdout

    def file(self, data):
        path = self.context.path("upload")
        with open(path, "wb") as f:
            f.write(data)
        return path


@test("curl: every method arrives as it was sent")
def curl_methods(context):
    porthole, _ = behind(context)
    curl = Curl(context, porthole)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "purge"):
        out = curl("-X", method, "-D", "-", "-o", "/dev/null", f"http://interop/m/{method}?q=%20x").decode()
        assert out.startswith("HTTP/1.1 200"), out
        assert f"X-Method: {method}\r\n" in out and f"X-Target: /m/{method}?q=%20x\r\n" in out, out
    out = curl("-I", "http://interop/").decode()
    assert "HTTP/1.1 200" in out and "X-Method: HEAD" in out, out


@test("curl: uploads and downloads, sized and chunked, arrive whole")
def curl_bodies(context):
    porthole, _ = behind(context)
    curl = Curl(context, porthole)
    for size in (1, 1000, 65536, 3_000_000):
        data = pattern(size)
        path = curl.file(data)
        for options in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "X-Answer: chunked"], ["-H", "Expect:"]):
            assert curl("-T", path, *options, "http://interop/up") == data, (size, options)
        assert curl("--data-binary", f"@{path}", "http://interop/post") == data, size


@test("curl: --http1.0 in both directions")
def curl_http10(context):
    porthole, _ = behind(context)
    curl = Curl(context, porthole)
    data = pattern(100_000)
    assert curl("--http1.0", "-d", "x=y", "http://interop/") == b"x=y"
    assert curl("--http1.0", "--data-binary", f"@{curl.file(data)}", "http://interop/") == data
    # A chunked answer has to lose its chunks on the way.
    assert curl("--http1.0", "-H", "X-Answer: chunked", "--data-binary", f"@{curl.file(data)}",
                "http://interop/") == data


@test("curl: one connection is reused for many requests")
def curl_keep_alive(context):
    porthole, target = behind(context)
    curl = Curl(context, porthole)
    out = curl("-w", "%{num_connects} ", *[f"http://interop/{i}" for i in range(20)]).decode()
    assert out.split() == ["1"] + ["0"] * 19, out
    assert target.n_accepted == 1, f"{target.n_accepted} connections to the target"


@test("curl: Expect: 100-continue, granted at once and refused")
def curl_expect(context):
    def script(connection, _target):
        request = wire.Request(connection, body=False)
        if request.target == "/no":
            connection.send(wire.answer(b"no", "Connection: close", status="403 Forbidden"))
            return
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(wire.answer(connection.body(request.fields), "Connection: close"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    curl = Curl(context, Porthole(context, {"/": target.endpoint}))
    data = pattern(2_000_000)
    path = curl.file(data)
    watch = peers.Watch()
    assert curl("-T", path, "-H", "Expect: 100-continue", "--expect100-timeout", "10", "http://interop/yes") == data
    assert watch.fair() < 5, "curl has waited for its 100 in vain"
    out = curl("-T", path, "-H", "Expect: 100-continue", "--expect100-timeout", "10", "-w", " %{http_code} %{size_upload}",
               "http://interop/no")
    assert out == b"no 403 0", out
    assert not target.errors, target.errors


# ---- cpp-httplib ----


def httplib_program(name):
    path = os.path.join(os.environ["INTEROP_HELPERS"], name)
    if not os.path.exists(path):
        raise Skip("cpp-httplib's programs were not compiled")
    return path


@test("cpp-httplib as client: every method, chunked, streamed, keep-alive and not")
def httplib_client(context):
    program = httplib_program("httplib_client")
    porthole, target = behind(context)
    done = subprocess.run([program, context.path("app.sock")], capture_output=True, timeout=25, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert not target.errors, target.errors
    porthole.check_all_forwarded()


@test("cpp-httplib as client: the socket's path, which it sends as Host, does not reach the target")
def httplib_host(context):
    seen = []

    def script(connection, _target):
        seen.append(wire.Request(connection).fields)
        connection.send(wire.answer(b"", "Connection: close"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as connection:
        connection.send(f"GET / HTTP/1.1\r\nHost: {context.path('app.sock')}\r\n\r\n".encode())
        assert wire.Response(connection).status == 200
    assert seen[0]["host"] == "localhost", seen
    assert context.dir not in str(seen), seen


@test("cpp-httplib as target: every method, bodies both ways, chunked, streamed")
def httplib_server(context):
    path = context.path("httplib.sock")
    server = Background(context, [httplib_program("httplib_server"), path], "httplib")
    await_socket(path, server)
    porthole = Porthole(context, {"/": f"unix:{path}"})
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        body = b"" if method in ("GET", "OPTIONS") else pattern(20_000)
        got = wire.exchange(porthole.address, method, "/echo", body=body)
        assert (got.status, got.body, got.fields["x-method"]) == (200, body, method), (method, got.status)
    head = wire.exchange(porthole.address, "HEAD", "/echo")
    assert head.status == 200 and head.body == b""
    kept = wire.client(porthole.address)
    for size in (0, 1, 999, 1_000_000):
        body = pattern(size)
        kept.send(wire.head("POST", "/chunked", "Transfer-Encoding: chunked"))
        for begin in range(0, size, 70_000):
            kept.send(wire.chunk(body[begin : begin + 70_000]))
        kept.send(b"0\r\n\r\n")
        got = wire.Response(kept)
        assert got.status == 200 and got.body == body, (size, got.status)
        kept = wire.again(kept, got, porthole.address)
    kept.close()
    got = wire.exchange(porthole.address, target="/stream/5000000")
    assert got.body == (b"abcdefghijklmnopqrstuvwxyz" * 192308)[:5_000_000]


# ---- Python ----


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, address):
        super().__init__("interop", timeout=10)
        self.address = address

    def connect(self):
        self.sock = wire.connect(self.address)


@test("http.client: keep-alive, generators as bodies, chunked responses")
def python_client(context):
    porthole, target = behind(context)
    connection = UnixConnection(porthole.address)
    for i in range(50):
        body = pattern(i * 997)
        connection.request("POST", f"/{i}", body=body, headers={"X-Answer": "chunked"} if i % 2 else {})
        response = connection.getresponse()
        assert response.status == 200 and response.read() == body, i
    blocks = [pattern(n) for n in (1, 70_000, 3)]
    connection.request("PUT", "/generator", body=iter(blocks), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == b"".join(blocks)
    connection.close()
    assert target.n_accepted == 1 and not target.errors, (target.n_accepted, target.errors)


# ---- nginx and HAProxy ----


def nginx(context, server):
    """nginx with a server block, in the foreground, all of its files in the test's directory."""
    program = need_program("nginx")
    d = context.dir
    user = "user root;" if os.geteuid() == 0 else ""
    with open(context.path("nginx.conf"), "w", encoding="ascii") as f:
        f.write(
            f"{user} daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/nginx.errors;\n"
            "events { worker_connections 256; }\n"
            f"http {{ access_log off; client_max_body_size 0; client_body_temp_path {d}/n1; proxy_temp_path {d}/n2;\n"
            f"fastcgi_temp_path {d}/n3; uwsgi_temp_path {d}/n4; scgi_temp_path {d}/n5;\n"
            f"server {{ listen unix:{d}/nginx.sock; {server} }} }}\n"
        )
    process = Background(context, [program, "-p", d, "-c", context.path("nginx.conf"), "-e", f"{d}/nginx.errors"], "nginx")
    # Its worker must go with it, so it is asked before it is killed.
    context.callback(process.terminate)
    await_socket(context.path("nginx.sock"), process)
    return f"unix:{context.path('nginx.sock')}"


def try_through(address):
    """Many kinds of exchange with an echoing target at the far end."""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        body = b"" if method == "GET" else pattern(50_000)
        got = wire.exchange(address, method, "/a%2Bb?c=d", body=body)
        assert (got.status, got.body, got.fields["x-method"]) == (200, body, method), (method, got.status, got.body[:300])
        assert got.fields["x-target"] == "/a%2Bb?c=d", got.fields
    kept = wire.client(address)
    for i in range(30):
        body = pattern(i * 5003)
        lines = ["X-Answer: chunked"] if i % 2 else []
        if i % 3:
            kept.send(wire.head("POST", f"/{i}", f"Content-Length: {len(body)}", *lines) + body)
        else:
            kept.send(wire.head("POST", f"/{i}", "Transfer-Encoding: chunked", *lines))
            kept.send((wire.chunk(body) if body else b"") + b"0\r\n\r\n")
        got = wire.Response(kept)
        assert got.status == 200 and got.body == body, (i, got.status)
        kept = wire.again(kept, got, address)
    kept.send(wire.head("HEAD", "/head"))
    assert wire.Response(kept, "HEAD").status == 200
    kept.send(wire.head("GET", "/after"))
    assert wire.Response(kept).status == 200
    kept.close()
    big = pattern(4_000_000)
    assert wire.exchange(address, "POST", "/big", body=big).body == big


@test("nginx in front of porthole: proxy_pass to the socket, HTTP/1.0 as by default")
def nginx_front_10(context):
    behind(context)
    try_through(nginx(context, f"location / {{ proxy_pass http://unix:{context.path('app.sock')}; }}"))


@test("nginx in front of porthole: HTTP/1.1 with keep-alive, unbuffered")
def nginx_front_11(context):
    porthole, target = behind(context)
    address = nginx(
        context,
        f"location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;"
        f" proxy_request_buffering off; }} }} upstream up {{ server unix:{context.path('app.sock')}; keepalive 4;",
    )
    try_through(address)
    assert not target.errors, target.errors
    porthole.check_all_forwarded()


class Kept:
    """Asks on one connection for as long as the answers allow it."""

    def __init__(self, address):
        self.address, self.wire = address, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._close()

    def _close(self):
        if self.wire:
            self.wire.close()
        self.wire = None

    def __call__(self, method, target, *lines, body=b""):
        self.wire = self.wire or wire.client(self.address)
        self.wire.send(wire.head(method, target, *lines) + body)
        got = wire.Response(self.wire, method)
        if got.fields.get("connection") == "close":
            self._close()
        return got


@test("nginx behind porthole: static files, ranges, conditional requests, its error pages")
def nginx_behind(context):
    data = pattern(2_000_000)
    os.mkdir(context.path("www"))
    for name, content in (("file", data), ("empty", b"")):
        with open(context.path(f"www/{name}"), "wb") as f:
            f.write(content)
    address = nginx(context, f"root {context.path('www')}; location /created {{ return 201 made; }}")
    porthole = Porthole(context, {"/": address})
    with Kept(porthole.address) as ask:
        got = ask("GET", "/file")
        assert got.status == 200 and got.body == data
        tag = got.fields["etag"]
        got = ask("HEAD", "/file")
        assert got.status == 200 and got.fields["content-length"] == str(len(data))
        assert ask("GET", "/file", f"If-None-Match: {tag}").status == 304
        got = ask("GET", "/file", "Range: bytes=1000-1999")
        assert got.status == 206 and got.body == data[1000:2000]
        got = ask("GET", "/file", "Range: bytes=0-9,100-109")
        assert got.status == 206 and data[100:110] in got.body
        assert ask("GET", "/file", "Range: bytes=9999999-").status == 416
        assert ask("GET", "/empty").body == b""
        assert ask("GET", "/nothing").status == 404
        assert ask("GET", "/created").body == b"made"
        assert ask("POST", "/file", "Content-Length: 3", body=b"abc").status == 405
    porthole.check_all_forwarded()


@test("nginx behind porthole: as a proxy to an echo, which answers keep-alive and chunked")
def nginx_behind_proxy(context):
    peers.Target(context, f"unix:{context.path('echo.sock')}", peers.echo)
    address = nginx(context, f"location / {{ proxy_pass http://unix:{context.path('echo.sock')}; proxy_http_version 1.1; }}")
    try_through(Porthole(context, {"/": address}).address)


@test("HAProxy in front of porthole and behind it")
def haproxy_both(context):
    program = need_program("haproxy")
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    d = context.dir
    with open(context.path("haproxy.cfg"), "w", encoding="ascii") as f:
        f.write(
            "global\n maxconn 200\ndefaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
            f"frontend front\n bind unix@{d}/front.sock\n default_backend porthole\n"
            f"backend porthole\n http-reuse always\n server p unix@{d}/app.sock\n"
            f"frontend middle\n bind unix@{d}/middle.sock\n default_backend target\n"
            f"backend target\n server t unix@{d}/target.sock\n"
        )
    haproxy = Background(context, [program, "-db", "-f", context.path("haproxy.cfg")], "haproxy")
    await_socket(context.path("middle.sock"), haproxy)
    porthole = Porthole(context, {"/": f"unix:{d}/middle.sock"})
    try_through(f"unix:{d}/front.sock")
    assert not target.errors, target.errors
    porthole.check_all_forwarded()


@test("what is added for the target: Via, Forwarded, X-Forwarded-*, X-Request-Id; Host stays")
def added_fields(context):
    seen = {}

    def script(connection, _target):
        seen.update(wire.Request(connection).fields)
        connection.send(wire.answer(b"", "Connection: close", "Keep-Alive: timeout=5"))

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    porthole = Porthole(context, {"/": target.endpoint})
    got = wire.exchange(porthole.address, "GET", "/", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 9", "TE: gzip")
    assert got.status == 200 and "keep-alive" not in got.fields, got.fields
    assert seen["host"] == "interop", seen
    for name in ("x-hop", "keep-alive", "te"):
        assert name not in seen, seen
    for name in ("via", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-request-id"):
        assert name in seen, seen
    assert re.search(r"1\.1 ", seen["via"]), seen
    assert porthole.await_entries("/", 1)[0]["id"] == seen["x-request-id"]
