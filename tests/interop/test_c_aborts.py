"""Aborts at every byte position of a message, of either side: nobody takes half of one for whole, and nothing is left."""

import socket

import peers
import wire
from ends import check_end, house
from tap import test
from test_c_messages import chunked, read_chunks


def make_client_abort_test(kind, framing, how):
    def run(context):
        porthole, board = house(context, kind=kind, listener={"timeouts": {"body": "1s"}})
        body = b"0123456789"
        data = wire.head("POST", "/abort", "Content-Length: 10") + body if framing == "sized" else \
            wire.head("POST", "/abort", "Transfer-Encoding: chunked") + chunked(b"01234", b"56789", trailers=["X-T: 1"])
        seen = []

        def script(connection, _target):
            request = wire.Request(connection, body=False)
            try:
                seen.append(connection.body(request.fields))
            except (EOFError, ConnectionError):
                seen.append(None)
                raise
            connection.send(wire.answer(b"whole", "Connection: close"))

        board.script = script
        clients = []
        for n in range(len(data)):
            client = wire.client(porthole.address)
            client.send(data[:n])
            if how == "half-closes":
                client.sock.shutdown(socket.SHUT_WR)
                clients.append(client)
            else:
                client.close()
        for client in clients:
            try:
                assert wire.Response(client).status in (400, 408), "half a request was served"
            except (EOFError, ConnectionError):
                pass
            client.close()
        peers.until(lambda: not board.open, 10, "the end of the target's connections")
        assert set(seen) <= {None}, f"the target has taken half a body for a whole one: {seen}"
        assert wire.exchange(porthole.address, "POST", "/next", body=body).body == b"whole"
        porthole.check_fds(10)
        outcomes = {}
        for entry in porthole.entries("/abort"):
            outcomes[entry["outcome"]] = outcomes.get(entry["outcome"], 0) + 1
        context.note(f"{len(data)} positions: {outcomes}, the target saw {len(seen)}")
        assert set(outcomes) <= {"client_gone", "body_timeout", "malformed"}, outcomes
        assert sum(outcomes.values()) >= len(seen)
        porthole.check_outcomes("/next", 1, "forwarded")

    test(f"client ({kind}) {how} at every byte position of a {framing} POST: the target never takes it for whole")(run)


for _framing in ("sized", "chunked"):
    make_client_abort_test("unix", _framing, "closes")
    make_client_abort_test("tcp", _framing, "closes")
    make_client_abort_test("unix", _framing, "half-closes")


def make_target_abort_test(kind, how):
    def run(context):
        porthole, board = house(context, kind=kind)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Field: value\r\n\r\n"
        data = head + chunked(b"abcde", b"0123456789abcdef", trailers=["X-T: 1"])
        kept = wire.client(porthole.address)
        for n in range(len(data) + 1):
            client = kept if n < len(head) else wire.client(porthole.address)
            try:
                client.send(wire.head("GET", "/abort" if n < len(data) else "/tunnel", "TE: trailers", "Connection: TE"))
                target = board.take_request()
                target.send(data[:n])
                if how == "resets":
                    peers.reset(target)
                target.close()
                got = wire.Response(client, body=False)
                assert got.status == (502 if n < len(head) else 200), (n, got.status)
                if n < len(head):
                    client.exactly(int(got.fields["content-length"]))  # and serves on
                    continue
                whole = read_chunks(client)
                assert n == len(data), f"whole after {n} of {len(data)} bytes: {whole}"
                assert whole == (b"abcde0123456789abcdef", {"x-t": "1"}), whole
            except (EOFError, ConnectionError):
                assert n >= len(head) and (n < len(data) or how == "resets"), f"the client is cut after {n} bytes"
            except TimeoutError as error:
                raise AssertionError(f"nothing more after {n} of {len(data)} bytes: {got.__dict__} {client.ahead}") from error
            if client is not kept:
                client.close()
        kept.close()
        seen = porthole.check_outcomes("/abort", len(data), {"target_closed", "target_reset", "bad_response", "target_truncated"})
        context.note(f"{len(data)} positions: {seen}")
        check_end(porthole, 1, {"forwarded"} if how == "closes" else {"forwarded", "target_truncated", "target_reset"})

    test(f"target ({kind}) {how} at every byte position of a chunked response: never whole, nothing is left")(run)


make_target_abort_test("unix", "closes")
make_target_abort_test("tcp", "closes")
make_target_abort_test("tcp", "resets")
