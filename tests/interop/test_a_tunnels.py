"""The way into a tunnel: what is offered and agreed, bytes that come with the handshake, and handshakes that fail."""

import socket
import threading
import time

import ends
import peers
import test_4_bodies as bodies
import wire
from ends import check_end, house
from tap import test

def ask(client, board, *lines, target="/plain"):
    """An ordinary exchange on that connection; what the target saw."""
    client.send(wire.head("GET", target, *lines))
    end = board.take_request()
    end.send(wire.answer(b"plain", "Connection: close"))
    got = wire.Response(client)
    assert got.status == 200 and got.body == b"plain", (got.status, got.body)
    end.close()
    return end.request


# ---- what is offered, and agreed ----


@test("upgrade: any token reaches the target as it is spelled, and its 101 the client")
def tokens(context):
    porthole, board = house(context)
    spellings = ("websocket", "WebSocket", "tcp", "SPDY/3.1", "x-own.protocol/9.9", "a", "raw!#$%&'*+-.^_`|~")
    for token in spellings:
        with ends.open_tunnel(porthole.address, board, token) as tunnel:
            assert tunnel.target.request.method == "GET" and tunnel.target.request.target == "/tunnel"
            assert tunnel.target.request.fields["connection"].lower() == "upgrade", tunnel.target.request.fields
            assert tunnel.response.fields["upgrade"] == token, tunnel.response.fields
            assert tunnel.response.fields["connection"].lower() == "upgrade", tunnel.response.fields
            ends.swap(tunnel)
    check_end(porthole, len(spellings))


@test("upgrade: fields of the handshake pass both ways, those of one connection don't")
def fields(context):
    porthole, board = house(context)
    client = wire.client(porthole.address)
    client.send(wire.head("GET", "/tunnel", "Connection: X-Hop, upgrade", "X-Hop: 1", "Upgrade: websocket", "Keep-Alive: timeout=5",
                          "Proxy-Connection: x", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
                          "Origin: http://example.org"))
    target = board.take_request()
    seen = target.request.fields
    assert seen["connection"].lower() == "upgrade" and seen["upgrade"] == "websocket", seen
    assert seen["sec-websocket-key"] == "dGhlIHNhbXBsZSBub25jZQ==" and seen["sec-websocket-version"] == "13", seen
    assert seen["origin"] == "http://example.org" and "via" in seen, seen
    assert not {"x-hop", "keep-alive", "proxy-connection", "content-length", "transfer-encoding"} & set(seen), seen
    target.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\n"
                b"Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                b"Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: value\r\n\r\n")
    got = wire.Response(client, body=False)
    assert got.status == 101 and got.version == "HTTP/1.1", got.status
    assert got.fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", got.fields
    assert got.fields["sec-websocket-protocol"] == "chat" and got.fields["x-own"] == "value", got.fields
    assert got.fields["set-cookie"] == "a=1, b=2", got.fields
    assert got.fields["connection"].lower() == "upgrade" and got.fields["upgrade"] == "websocket", got.fields
    assert not {"x-hop", "keep-alive", "proxy-connection", "content-length", "transfer-encoding"} & set(got.fields), got.fields
    tunnel = ends.Tunnel(client, target)
    ends.swap(tunnel)
    tunnel.close()
    check_end(porthole, 1)


# What the route allows, what the client offers, what the target is offered.
ALLOWED = (
    (None, "websocket", "websocket"),
    (None, "h2c", None),
    (None, "H2C", None),
    (None, "h2c, websocket", "websocket"),
    (None, "websocket, h2c, tcp", "websocket, tcp"),
    (["websocket"], "websocket", "websocket"),
    (["websocket"], "WebSocket/13", "WebSocket/13"),
    (["WebSocket"], "websocket", "websocket"),
    (["websocket"], "tcp", None),
    (["websocket"], "xwebsocket", None),
    (["websocket"], "tcp, websocket", "websocket"),
    (["tcp", "spdy"], "SPDY/3.1", "SPDY/3.1"),
    (["h2c"], "h2c", "h2c"),
    ([], "websocket", None),
    ([], "tcp, h2c", None),
)


def make_allowed_test(allowed, offered, passed):
    def run(context):
        porthole, board = house(context, {} if allowed is None else {"upgrade": allowed})
        with wire.client(porthole.address) as client:
            if passed is None:
                for _ in range(2):  # the connection stays usable
                    seen = ask(client, board, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offered}", "HTTP2-Settings: AAMAAABk")
                    assert not {"upgrade", "http2-settings"} & set(seen.fields), seen.fields
                    assert "upgrade" not in seen.fields.get("connection", "").lower(), seen.fields
                return
            client.send(ends.offer(offered))
            target = board.take_request()
            assert target.request.fields["upgrade"] == passed, target.request.fields
            assert target.request.fields["connection"].lower() == "upgrade", target.request.fields
            chosen = passed.split(", ")[-1]
            target.send(ends.agreement(chosen))
            got = wire.Response(client, body=False)
            assert got.status == 101 and got.fields["upgrade"] == chosen, (got.status, got.fields)
            ends.swap(ends.Tunnel(client, target))
            target.close()

    allows = "no list" if allowed is None else str(allowed)
    test(f"upgrade {offered}, allowed {allows}: {'goes on without it' if passed is None else 'offered is ' + passed}")(run)


for _allowed, _offered, _passed in ALLOWED:
    make_allowed_test(_allowed, _offered, _passed)


@test("upgrade without Connection: upgrade, or from HTTP/1.0: an ordinary request")
def not_asked_for(context):
    porthole, board = house(context)
    with wire.client(porthole.address) as client:
        seen = ask(client, board, "Upgrade: websocket")
        assert "upgrade" not in seen.fields, seen.fields
        seen = ask(client, board, "Connection: keep-alive", "Upgrade: websocket")
        assert "upgrade" not in seen.fields, seen.fields
        seen = ask(client, board, "Connection: Upgrade")
        assert "upgrade" not in seen.fields and "upgrade" not in seen.fields.get("connection", "").lower(), seen.fields
    with wire.client(porthole.address) as client:
        client.send(b"GET /tunnel HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        end = board.take_request()
        assert "upgrade" not in end.request.fields, end.request.fields
        end.send(wire.answer(b"old", "Connection: close"))
        assert wire.Response(client).body == b"old"
        end.close()


@test("upgrade answered otherwise: an ordinary response, and the connection serves on, to a tunnel in the end")
def other_answers(context):
    porthole, board = house(context, connections=ends.KEPT)
    with wire.client(porthole.address) as client:
        for status, lines in (("200 OK", []), ("426 Upgrade Required", ["Upgrade: tcp", "Connection: Upgrade"]), ("400 Bad Request", []),
                              ("404 Not Found", []), ("503 Service Unavailable", ["Retry-After: 1"])):
            client.send(ends.offer("websocket", target="/other"))
            end = board.take_request()
            end.send(wire.answer(b"no thanks", "Connection: close", *lines, status=status))
            got = wire.Response(client)
            assert got.status == int(status[:3]) and got.body == b"no thanks", (got.status, got.body)
            assert "close" not in got.fields.get("connection", "").lower(), got.fields
            assert "upgrade" not in got.fields or status.startswith("426"), got.fields
            end.close()
        client.send(ends.offer("websocket", target="/other"))
        end = board.take_request()
        end.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire.chunk(b"in pieces") + b"0\r\n\r\n")
        assert wire.Response(client).body == b"in pieces"
        # That connection of the target's is kept; the tunnel takes it.
        client.send(ends.offer("websocket"))
        end.request = wire.Request(end)
        assert end.request.fields["upgrade"] == "websocket", end.request.fields
        end.send(ends.agreement() + b"now")
        assert wire.Response(client, body=False).status == 101
        assert client.exactly(3) == b"now"
        ends.swap(ends.Tunnel(client, end))
    ends.await_end(end)
    end.close()
    porthole.check_outcomes("/other", 6, "forwarded")
    check_end(porthole, 1)


@test("upgrade: a 101 after interim responses, and one after 100 Continue")
def interim(context):
    porthole, board = house(context)
    client = wire.client(porthole.address)
    client.send(ends.offer("tcp", "Content-Length: 4", "Expect: 100-continue", method="POST"))
    target = board.take_request(body=False)
    target.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    line = ""
    while not line.startswith("HTTP/1.1 100 "):  # an interim response may be relayed before it
        line = client.line()
        assert line.startswith("HTTP/1.1 1") and not client.fields(), line
    client.send(b"bodyahead")
    assert target.exactly(4) == b"body"
    target.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ends.agreement("tcp") + b"behind")
    assert wire.Response(client, body=False).status == 101
    assert client.exactly(6) == b"behind" and target.exactly(5) == b"ahead"
    with ends.Tunnel(client, target) as tunnel:
        ends.swap(tunnel)
    check_end(porthole, 1)


WRONG_101 = {
    "not asked for": ("", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "of a protocol not offered": ("websocket", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"),
    "of another version": ("foo/1", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n"),
    "of one protocol offered and one not": (
        "websocket", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, tcp\r\n\r\n"),
    "without Upgrade": ("websocket", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"),
    "with an empty Upgrade": ("websocket", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:\r\n\r\n"),
    "of a protocol that was held back": ("h2c", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    "with a NUL": ("websocket", b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: a\0b\r\n\r\n"),
}


def make_wrong_test(name, offered, answer):
    def run(context):
        porthole, board = house(context)
        for _ in range(20):
            with wire.client(porthole.address) as client:
                client.send(ends.offer(offered) if offered else wire.head("GET", "/tunnel"))
                target = board.take_request()
                target.send(answer + b"stolen")
                got = wire.Response(client)
                assert got.status == 502 and b"bad_response" in got.body and b"stolen" not in got.body, (got.status, got.body)
                ends.await_end(target)
                target.close()
        check_end(porthole, 20, "bad_response")

    test(f"a 101 {name}: 502 bad_response, the target's connection is closed")(run)


for _name, (_offered, _answer) in WRONG_101.items():
    make_wrong_test(_name, _offered, _answer)


# ---- bytes around the handshake ----

EARLY = (1, 2, 1000, 5000, 16384, 30_000, 33_000, 65_536, 100_000, 400_000)


@test("bytes behind the request's head, in the same write: exactly once and in order")
def ahead(context):
    porthole, board = house(context)
    for size in EARLY:
        client = wire.client(porthole.address, 20)
        # Larger ones than a socket holds: written beside the test.
        wait = peers_send(client, ends.offer() + bodies.pattern_at(size, size))
        target = board.take_request()
        target.send(ends.agreement())
        assert wire.Response(client, body=False).status == 101
        assert target.exactly(size) == bodies.pattern_at(size, size), size
        wait()
        with ends.Tunnel(client, target) as tunnel:
            ends.swap(tunnel)
    check_end(porthole, len(EARLY))


def peers_send(end, data):
    errors = []
    thread = threading.Thread(target=ends.guarded, args=(errors, lambda: end.send(data)), daemon=True)
    thread.start()

    def wait():
        thread.join(20)
        assert not thread.is_alive() and not errors, errors

    return wait


@test("bytes behind the 101, in the same write: exactly once and in order")
def behind(context):
    porthole, board = house(context)
    for size in EARLY:
        client = wire.client(porthole.address, 20)
        client.send(ends.offer())
        target = board.take_request()
        wait = peers_send(target, ends.agreement() + bodies.pattern_at(size, size))
        assert wire.Response(client, body=False).status == 101
        assert client.exactly(size) == bodies.pattern_at(size, size), size
        wait()
        with ends.Tunnel(client, target) as tunnel:
            ends.swap(tunnel)
    check_end(porthole, len(EARLY))


@test("bytes behind both heads, which come byte by byte")
def both_early(context):
    porthole, board = house(context)
    head, answer = ends.offer() + b"early bird", ends.agreement() + b"late worm"
    client = wire.client(porthole.address)
    wire.dribble(client.sock, head)
    target = board.take_request()
    wire.dribble(target.sock, answer)
    assert wire.Response(client, body=False).status == 101
    assert client.exactly(9) == b"late worm" and target.exactly(10) == b"early bird"
    with ends.Tunnel(client, target) as tunnel:
        ends.swap(tunnel)
    check_end(porthole, 1)


@test("heads cut in two at every byte position, with bytes behind them")
def cut_in_two(context):
    porthole, board = house(context)
    head, answer = ends.offer("tcp") + b"ab", ends.agreement("tcp") + b"cd"
    n = 0
    for i in range(1, max(len(head), len(answer))):
        client = wire.client(porthole.address)
        client.send(head[:i])
        client.send(head[i:])
        target = board.take_request()
        target.send(answer[:i])
        target.send(answer[i:])
        assert wire.Response(client, body=False).status == 101
        assert client.exactly(2) == b"cd" and target.exactly(2) == b"ab", i
        client.close()
        target.close()
        n += 1
    check_end(porthole, n)


@test("bytes of the client's while the target still thinks about the upgrade wait for the tunnel")
def while_thinking(context):
    porthole, board = house(context)
    client = wire.client(porthole.address, 20)
    client.send(ends.offer())
    target = board.take_request()
    wait = peers_send(client, bodies.pattern_at(0, 300_000))
    time.sleep(0.2)
    target.sock.settimeout(0.2)
    try:
        raise AssertionError(f"{len(target.sock.recv(1000))} bytes before the target has agreed")
    except TimeoutError:
        target.sock.settimeout(20)
    target.send(ends.agreement())
    assert wire.Response(client, body=False).status == 101
    assert target.exactly(300_000) == bodies.pattern_at(0, 300_000)
    wait()
    with ends.Tunnel(client, target) as tunnel:
        ends.swap(tunnel)
    check_end(porthole, 1)


def make_body_test(chunked):
    def run(context):
        porthole, board = house(context)
        for size in (0, 1, 5000, 40_000, 200_000):
            body = bodies.pattern_at(7, size)
            framed = (wire.chunk(body) if body else b"") + b"0\r\n\r\n" if chunked else body
            client = wire.client(porthole.address, 20)
            wait = peers_send(client, ends.offer("tcp", bodies.framing(size, chunked), method="POST") + framed + b"ahead")
            target = board.take_request()
            assert target.request.method == "POST" and target.request.body == body, (size, len(target.request.body))
            assert target.request.fields["upgrade"] == "tcp", target.request.fields
            target.send(ends.agreement("tcp") + b"behind")
            assert wire.Response(client, body=False).status == 101
            assert client.exactly(6) == b"behind" and target.exactly(5) == b"ahead"
            wait()
            with ends.Tunnel(client, target) as tunnel:
                ends.swap(tunnel)
        check_end(porthole, 5)
        entries = porthole.entries("/tunnel")
        assert [entry["bytes_in"] for entry in entries] == [size + 10 for size in (0, 1, 5000, 40_000, 200_000)], entries

    test(f"upgrade with a body, {'chunked' if chunked else 'Content-Length'}: the body first, then what is behind it")(run)


make_body_test(False)
make_body_test(True)


def make_agreed_early_test(chunked):
    def run(context):
        porthole, board = house(context)
        body = bodies.pattern_at(3, 50_000)
        client = wire.client(porthole.address, 20)
        client.send(ends.offer("tcp", bodies.framing(len(body), chunked), method="POST"))
        target = board.take_request(body=False)
        target.send(ends.agreement("tcp") + b"behind")
        time.sleep(0.2)
        client.send((wire.chunk(body) + b"0\r\n\r\n" if chunked else body) + b"ahead")
        assert target.body(target.request.fields) == body
        assert wire.Response(client, body=False).status == 101
        assert client.exactly(6) == b"behind" and target.exactly(5) == b"ahead"
        with ends.Tunnel(client, target) as tunnel:
            ends.swap(tunnel)
        check_end(porthole, 1)

    test(f"upgrade agreed to before its {'chunked' if chunked else 'sized'} body has come: the tunnel begins behind the body")(run)


make_agreed_early_test(False)
make_agreed_early_test(True)


# ---- handshakes that break off ----


def make_abort_test(kind, how):
    """The client ends at every byte position of its head, in one of two ways."""
    def run(context):
        porthole, board = house(context, kind=kind, listener={"timeouts": {"body": "2s"}})
        head = ends.offer("tcp", target="/abort")
        clients = []
        for n in range(len(head)):
            client = wire.client(porthole.address)
            client.send(head[:n])
            if how == "closes":
                client.close()
            else:
                client.sock.shutdown(socket.SHUT_WR)
                clients.append(client)
        for client in clients:
            try:
                assert wire.Response(client).status in (400, 408)
            except (EOFError, ConnectionError):
                pass
            client.close()
        assert board.waiting.empty(), "half a head has reached the target"
        with ends.open_tunnel(porthole.address, board) as tunnel:
            ends.swap(tunnel)
        check_end(porthole, 1)
        assert not [e for e in porthole.entries("/abort") if e["outcome"] not in ("client_gone", "malformed", "head_timeout")]

    test(f"client ({kind}) {how} at every byte position of an upgrade's head: nothing is forwarded, nothing is left")(run)


for _kind in ("unix", "tcp"):
    for _how in ("closes", "half-closes"):
        make_abort_test(_kind, _how)


@test("client leaves while the target thinks about the upgrade: the target's connection is closed at once")
def leaves_thinking(context):
    porthole, board = house(context)
    for i in range(30):
        client = wire.client(porthole.address)
        client.send(ends.offer("tcp") + b"early" * (i % 2))
        target = board.take_request()
        client.close()
        assert ends.await_end(target) < 1
        target.close()
    check_end(porthole, 30, "client_gone")


def make_target_abort_test(kind, how):
    def run(context):
        porthole, board = house(context, kind=kind)
        answer = ends.agreement("tcp", "X-Field: value")
        for n in range(len(answer) + 1):
            client = wire.client(porthole.address)
            client.send(ends.offer("tcp", target="/abort" if n < len(answer) else "/tunnel"))
            target = board.take_request()
            target.send(answer[:n])
            if how == "resets":
                peers.reset(target)
            target.close()
            try:
                got = wire.Response(client)
                assert got.status == (502 if n < len(answer) else 101), (n, got.status)
            except (EOFError, ConnectionError):
                assert how == "resets" and n == len(answer), f"no answer after {n} bytes"
            client.close()
        outcomes = {"target_closed", "bad_response"} if how == "closes" else {"target_reset", "target_closed", "bad_response"}
        seen = porthole.check_outcomes("/abort", len(answer), outcomes)
        context.note(f"{len(answer)} positions: {seen}")
        with ends.open_tunnel(porthole.address, board) as tunnel:
            ends.swap(tunnel)
        check_end(porthole, 2, {"tunneled", "target_reset", "client_gone"})

    test(f"target ({kind}) {how} at every byte position of its 101: 502, nothing is left, the next tunnel works")(run)


make_target_abort_test("unix", "closes")
make_target_abort_test("tcp", "closes")
make_target_abort_test("tcp", "resets")
