"""Targets over TCP and TLS, on loopback."""

import os
import socket
import ssl
import subprocess
import time

import peers
import test_4_bodies as bodies
import wire
from porthole import Porthole, need_program
from tap import Skip, test


class Authority:
    """A CA of its own with a server's and a client's certificate, made once by openssl for all tests."""

    def __init__(self, context):
        self.dir, self.openssl = context.dir, need_program("openssl")
        self.ca = self._issue("ca", None, "/CN=interop CA", "basicConstraints=critical,CA:TRUE")

    def _run(self, *arguments):
        subprocess.run([self.openssl, *arguments], check=True, capture_output=True, cwd=self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def _issue(self, name, issuer, subject, extension, days=2):
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                  "-out", f"{name}.csr", "-subj", subject)
        with open(self.path(f"{name}.ext"), "w", encoding="ascii") as f:
            f.write(extension + "\n")
        signing = ["-signkey", f"{name}.key"] if issuer is None else ["-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", "-CAcreateserial"]
        self._run("x509", "-req", "-days", str(days), "-in", f"{name}.csr", "-extfile", f"{name}.ext", "-out", f"{name}.crt", *signing)
        return self.path(f"{name}.crt")

    def server(self, names, client_ca=None, days=2):
        """A context for a server whose certificate is for those names, for so many days from now: with 0 it has expired."""
        self._issue("server", "ca", "/CN=interop server", f"subjectAltName={names}", days)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.path("server.crt"), self.path("server.key"))
        if client_ca:
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(client_ca)
        return tls

    def client(self):
        return {"cert": self._issue("client", "ca", "/CN=interop client", "extendedKeyUsage=clientAuth"),
                "key": self.path("client.key")}


LOCAL = "IP:127.0.0.1,DNS:localhost"


def behind_tls(context, server, script=peers.echo, tls=None, **options):
    target = peers.Target(context, "tcp:127.0.0.1:0", script, around=lambda sock: server.wrap_socket(sock, server_side=True))
    endpoint = target.endpoint.replace("http:", "https:")
    if options.pop("by_name", False):
        endpoint = endpoint.replace("127.0.0.1", "localhost")
    quick = {"connections": {"idle_timeout": options.pop("idle_timeout", "300ms")}, "timeouts": {"connect": "5s"}}
    porthole = Porthole(context, {"/": {"endpoints": [endpoint], "tls": tls or {}, **quick}})
    porthole.remember_fds()
    return porthole, target


@test("https target: certificate of a given ca, keep-alive reused")
def tls_ca(context):
    authority = Authority(context)
    porthole, target = behind_tls(context, authority.server(LOCAL), tls={"ca": authority.ca}, idle_timeout="5s")
    for i in range(30):
        got = wire.exchange(porthole.address, "POST", f"/{i}", body=b"secret")
        assert got.status == 200 and got.body == b"secret", (got.status, got.body)
    assert target.n_accepted == 1, f"{target.n_accepted} handshakes for 30 requests"
    assert not target.errors, target.errors
    porthole.check_fds(20)


@test("https target by host name, and an IPv6 or IPv4 address behind it")
def tls_name(context):
    authority = Authority(context)
    porthole, _ = behind_tls(context, authority.server("DNS:localhost"), tls={"ca": authority.ca}, by_name=True)
    assert wire.exchange(porthole.address).status == 200


def reasons(porthole, request, n):
    """What the access log says of n exchanges, which all say the same."""
    found = {entry.get("reason") for entry in porthole.await_entries(request, n)}
    assert len(found) == 1, found
    return found.pop()


def refuses_tls(context, porthole, why):
    watch = peers.Watch()
    for _ in range(20):
        got = wire.exchange(porthole.address, "POST", "/refused", body=b"secret")
        assert got.status == 502, (got.status, got.body)
    watch.check(0, 15)
    porthole.check_outcomes("/refused", 20, "tls_failed")
    reason = reasons(porthole, "/refused", 20)
    assert reason and why in reason, f"{reason!r} does not say {why!r}"
    porthole.check_fds()


@test("https target with an expired certificate: 502 tls_failed, and the access log says so")
def tls_expired(context):
    authority = Authority(context)
    porthole, target = behind_tls(context, authority.server(LOCAL, days=0), tls={"ca": authority.ca})
    refuses_tls(context, porthole, "certificate has expired")
    assert target.endpoint.rpartition("/")[2] in reasons(porthole, "/refused", 20), "the address that was tried"


@test("https target with an expired certificate: without an access log the error log says so")
def tls_expired_in_error_log(context):
    authority = Authority(context)
    target = peers.Target(context, "tcp:127.0.0.1:0", peers.echo,
                          around=lambda sock: server.wrap_socket(sock, server_side=True))
    server = authority.server(LOCAL, days=0)
    routes = {"/": {"endpoints": [target.endpoint.replace("http:", "https:")], "tls": {"ca": authority.ca}}}
    porthole = Porthole(context, routes, log={"level": "warn"})
    assert wire.exchange(porthole.address).status == 502
    peers.until(lambda: 'outcome="tls_failed"' in porthole.output(), 5)
    assert "certificate has expired" in porthole.output(), porthole.output()


@test("https target of another ca: 502 tls_failed, nothing sent, no descriptor left")
def tls_wrong_ca(context):
    authority = Authority(context)
    os.mkdir(context.path("other"))
    other = Authority(Other(context))
    porthole, target = behind_tls(context, authority.server(LOCAL), tls={"ca": other.ca})
    refuses_tls(context, porthole, "unable to get local issuer certificate")
    assert target.count("request") == 0


class Other:
    """Where a second authority lives."""

    def __init__(self, context):
        self.dir = context.path("other")


@test("https target without a ca known to the system: 502 tls_failed; with verify false it is served")
def tls_unknown_ca(context):
    authority = Authority(context)
    server = authority.server(LOCAL)
    porthole, _ = behind_tls(context, server)
    refuses_tls(context, porthole, "unable to get local issuer certificate")
    porthole.stop()
    porthole, _ = behind_tls(context, server, tls={"verify": False})
    assert wire.exchange(porthole.address).status == 200


@test("https target with a certificate for another name: 502 tls_failed; server_name makes it right")
def tls_server_name(context):
    authority = Authority(context)
    server, names = authority.server("DNS:service.example.org"), []
    server.sni_callback = lambda _sock, name, _context: names.append(name)
    porthole, _ = behind_tls(context, server, tls={"ca": authority.ca})
    refuses_tls(context, porthole, "127.0.0.1")
    assert "certificate" in reasons(porthole, "/refused", 20)
    porthole.stop()
    names.clear()
    porthole, _ = behind_tls(context, server, tls={"ca": authority.ca, "server_name": "service.example.org"})
    assert wire.exchange(porthole.address).status == 200
    assert names == ["service.example.org"], names


@test("https target that wants a client certificate: served with it, 502 without")
def tls_client_certificate(context):
    authority = Authority(context)
    subjects = []

    def script(connection, _target):
        request = wire.Request(connection)
        subjects.append(connection.sock.getpeercert()["subject"])
        connection.send(wire.answer(request.body, "Connection: close"))

    server = authority.server(LOCAL, client_ca=authority.ca)
    porthole, _ = behind_tls(context, server, script, tls={"ca": authority.ca, **authority.client()})
    assert wire.exchange(porthole.address).status == 200
    assert subjects == [((("commonName", "interop client"),),)], subjects
    porthole.stop()
    porthole, _ = behind_tls(context, server, script, tls={"ca": authority.ca})
    for _ in range(10):
        assert wire.exchange(porthole.address, target="/none").status == 502
    porthole.check_outcomes("/none", 10, {"tls_failed", "target_reset"})
    for entry in porthole.entries("/none"):
        assert "alert" in entry["reason"] and "certificate" in entry["reason"], entry
    porthole.check_fds()


def make_tls_body_test(direction, chunked):
    def run(context):
        authority = Authority(context)
        porthole, target = behind_tls(context, authority.server(LOCAL), bodies.giving, tls={"ca": authority.ca})
        transfer = bodies.download if direction == "down" else bodies.upload
        transfer(porthole.address, 64 << 20, chunked)
        peers.together(8, lambda _: transfer(porthole.address, 1 << 20, chunked))
        assert not target.errors, target.errors
        porthole.check_outcomes("/", 9, "forwarded")

    test(f"https target: 64 MiB {direction}, {'chunked' if chunked else 'sized'}, and eight at a time: unchanged", 60)(run)


for _direction in ("down", "up"):
    for _chunked in (False, True):
        make_tls_body_test(_direction, _chunked)


@test("https target: back-pressure in mid-record; slow bytes; all sizes")
def tls_edges(context):
    authority = Authority(context)
    porthole, target = behind_tls(context, authority.server(LOCAL), tls={"ca": authority.ca})
    with wire.client(porthole.address) as client:
        for size in [0, 1, 100, 16383, 16384, 16385, 32768, 100_000, 1_000_000]:
            body = bodies.pattern_at(size, size) if size < 200_000 else bodies.PATTERN[:size]
            for lines in ([], ["X-Answer: chunked"]):
                client.send(wire.head("POST", "/", f"Content-Length: {size}", *lines) + body)
                got = wire.Response(client)
                assert got.status == 200 and got.body == body, (size, got.status, len(got.body))
    with wire.client(porthole.address) as client:
        client.send(wire.head("POST", "/", "Content-Length: 3000000") + b"z" * 3_000_000)
        time.sleep(0.5)  # takes nothing for a while
        assert wire.Response(client).body == b"z" * 3_000_000
    assert not target.errors, target.errors


@test("https target that talks plain HTTP, or nothing at all: tls_failed, connect_timeout")
def tls_not(context):
    plain = peers.Target(context, "tcp:127.0.0.1:0", lambda connection, _: connection.send(b"HTTP/1.1 400 No\r\n\r\n"))
    mute = peers.Target(context, "tcp:127.0.0.1:0", lambda connection, _: time.sleep(5))
    dropping = peers.Target(context, "tcp:127.0.0.1:0", lambda connection, _: None)
    routes = {}
    for path, target in (("/plain", plain), ("/mute", mute), ("/dropping", dropping)):
        connect = "700ms" if path == "/mute" else "20s"
        routes[path] = {"endpoints": [target.endpoint.replace("http:", "https:")], "timeouts": {"connect": connect}}
    porthole = Porthole(context, routes)
    porthole.remember_fds()
    for _ in range(3):
        assert wire.exchange(porthole.address, target="/plain").status == 502
        assert wire.exchange(porthole.address, target="/mute").status == 504
        assert wire.exchange(porthole.address, target="/dropping").status == 502
    porthole.check_outcomes("/plain", 3, "tls_failed")
    assert "wrong version number" in reasons(porthole, "/plain", 3), reasons(porthole, "/plain", 3)
    porthole.check_outcomes("/mute", 3, "connect_timeout")
    porthole.check_outcomes("/dropping", 3, "tls_failed")
    porthole.check_fds()


@test("https target that cuts in mid-body without close_notify: the client's connection is cut too")
def tls_truncation(context):
    def script(connection, _target):
        request = wire.Request(connection)
        framing = "Content-Length: 100" if request.target == "/sized" else "Transfer-Encoding: chunked"
        connection.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nhalf\r\n".encode())
        time.sleep(0.05)
        connection.sock.shutdown(socket.SHUT_RDWR)  # of the TCP connection: no alert

    authority = Authority(context)
    porthole, _ = behind_tls(context, authority.server(LOCAL), script, tls={"ca": authority.ca})
    for path in ("/sized", "/chunked"):
        try:
            got = wire.exchange(porthole.address, target=path)
        except (EOFError, ConnectionError):
            got = None
        assert not got, f"{path}: an attacker's cut looks like the end: {got.body}"
        porthole.check_outcomes(path, 1, "target_truncated")


# ---- plain TCP ----


@test("http target over TCP: keep-alive reused, bodies whole")
def tcp(context):
    target = peers.Target(context, "tcp:127.0.0.1:0", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    with wire.client(porthole.address) as client:
        for size in (0, 1, 65536, 1_000_000) * 5:
            body = bodies.PATTERN[:size]
            client.send(wire.head("POST", "/", f"Content-Length: {size}") + body)
            assert wire.Response(client).body == body
    assert target.n_accepted == 1, target.n_accepted


@test("http target over IPv6, and by a name")
def tcp6(context):
    try:
        target = peers.Target(context, "tcp:[::1]:0", peers.echo)
    except OSError as error:
        raise Skip(f"no IPv6 here: {error}") from error
    port = target.endpoint.rpartition(":")[2]
    porthole = Porthole(context, {"/name": f"http://localhost:{port}", "/": target.endpoint})
    assert wire.exchange(porthole.address).status == 200
    if any(entry[4][0] == "::1" for entry in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)):
        assert wire.exchange(porthole.address, target="/name").status == 200


@test("http target refusing: 503 target_refused; a name that does not resolve: 502 connect_failed")
def tcp_failures(context):
    closed = peers.listen("tcp:127.0.0.1:0")
    port = closed.getsockname()[1]
    closed.close()
    slow = {"timeouts": {"connect": "8s"}}
    porthole = Porthole(context, {"/refused": f"http://127.0.0.1:{port}",
                                  "/name": {"endpoints": ["http://nothing.invalid:80"], **slow}})
    porthole.remember_fds()
    for _ in range(20):
        assert wire.exchange(porthole.address, target="/refused").status == 503
    porthole.check_outcomes("/refused", 20, "target_refused")
    assert reasons(porthole, "/refused", 20) == f"cannot connect to 127.0.0.1:{port}: Connection refused"
    got = wire.exchange(porthole.address, target="/name", timeout=20)
    entry = porthole.await_entries("/name", 1)[0]
    # Without a network a resolver may just as well not answer.
    assert (got.status, entry["outcome"]) in ((502, "connect_failed"), (504, "connect_timeout")), (got.status, entry)
    if got.status == 502:
        assert entry["reason"].startswith("cannot resolve nothing.invalid: "), entry
    else:
        assert entry["reason"] == "cannot resolve nothing.invalid: no answer in 8000 ms", entry
    porthole.check_fds()


@test("http target that accepts no more connections: 504 connect_timeout, others undisturbed")
def tcp_connect_timeout(context):
    listening = peers.listen("tcp:127.0.0.1:0", 0)
    context.callback(listening.close)
    address = listening.getsockname()
    for _ in range(8):  # fills the backlog; what is beyond stays in SYN_SENT
        sock = socket.socket()
        sock.setblocking(False)
        context.callback(sock.close)
        sock.connect_ex(address)
    time.sleep(0.2)
    healthy = peers.Target(context, f"unix:{context.path('healthy.sock')}", peers.echo)
    quick = {"connections": {"idle_timeout": "100ms"}}
    routes = {"/healthy": {"endpoints": [healthy.endpoint], **quick},
              "/full": {"endpoints": [f"http://127.0.0.1:{address[1]}"], "timeouts": {"connect": "1200ms"}, **quick}}
    porthole = Porthole(context, routes)
    porthole.remember_fds()

    def ask(_):
        watch = peers.Watch()
        assert wire.exchange(porthole.address, target="/full").status == 504
        watch.check(1.1, 4)

    with peers.Bystander(porthole.address) as bystander:
        peers.together(20, ask)
    bystander.check()
    porthole.check_outcomes("/full", 20, "connect_timeout")
    porthole.check_fds()
