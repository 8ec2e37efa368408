"""Python's http.client and http.server through porthole."""

import http.client
import http.server
import io
import os
import socket
import threading

from python_rig import DIRECT, WAYS, Handler, checksum, test


class Mirror(Handler):
    """Answers with the body it was sent, and says what it saw."""

    def do_POST(self):
        body = self.body()
        coding = self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length")
        self.answer(body, X_Asked=f"{self.command} {self.path} {coding}", X_Checksum=checksum(body))

    do_GET = do_PUT = do_POST


def ask(connection, method="GET", path="/", body=None, headers=None, **options):
    """A whole exchange: the response, and its body as `content`."""
    connection.request(method, path, body, headers or {}, **options)
    response = connection.getresponse()
    response.content = response.read()
    return response


@test("twenty exchanges over one connection", WAYS)
def keep_alive(_context, between):
    connection = between(Mirror).connection()
    sockets = set()
    for i in range(20):
        body = os.urandom(i * 1313)
        response = ask(connection, "PUT", f"/{i}?%2f=&", body)
        assert response.status == 200 and response.content == body
        assert response.headers["X-Asked"] == f"PUT /{i}?%2f=& {len(body)}", response.headers["X-Asked"]
        sockets.add(connection.sock)
    assert len(sockets) == 1 and None not in sockets, sockets


@test("uploads of 3 MB: in chunks, from a file, from an iterable with a length", WAYS)
def uploads(_context, between):
    connection = between(Mirror).connection()
    sent = os.urandom(3_000_000)

    def pieces():
        for at in range(0, len(sent), 77_777):
            yield sent[at : at + 77_777]

    for body, headers, coding in (
        (pieces(), {}, "chunked"),
        (io.BytesIO(sent), {}, "chunked"),
        (pieces(), {"Content-Length": str(len(sent))}, str(len(sent))),
        (sent, {}, str(len(sent))),
    ):
        response = ask(connection, "POST", "/up", body, headers)
        assert response.headers["X-Asked"] == f"POST /up {coding}", response.headers["X-Asked"]
        assert response.headers["X-Checksum"] == checksum(response.content) == checksum(sent)


@test("HEAD, 204, 304 and what comes after them", WAYS)
def without_body(_context, between):
    class Bodiless(Handler):
        def do_GET(self):
            status = int(self.path[1:])
            self.send_response(status)
            self.send_header("ETag", '"e"')
            if status == 200:
                self.send_header("Content-Length", "5")
            self.end_headers()
            if status == 200 and self.command == "GET":
                self.wfile.write(b"hello")

        do_HEAD = do_GET

    connection = between(Bodiless).connection()
    for method, status, content in (("HEAD", 200, b""), ("GET", 204, b""), ("GET", 200, b"hello"), ("GET", 304, b""),
                                    ("HEAD", 304, b""), ("GET", 200, b"hello")):
        response = ask(connection, method, f"/{status}")
        assert (response.status, response.content) == (status, content), (method, response.status, response.content)
        assert response.headers["ETag"] == '"e"'
        assert response.headers["Content-Length"] == ("5" if status == 200 else None), response.headers.items()


@test("Expect: 100-continue by hand: the 100 comes before the body is sent")
def expect(_context, between):
    connection = between(Mirror).connection()
    for body in (os.urandom(10), os.urandom(1_000_000)):
        connection.putrequest("POST", "/expect")
        connection.putheader("Expect", "100-continue")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        interim = b""
        while not interim.endswith(b"\r\n\r\n"):
            interim += connection.sock.recv(1)
            assert len(interim) < 1000
        assert interim.startswith(b"HTTP/1.1 100 "), interim
        connection.send(body)
        response = connection.getresponse()
        assert response.status == 200 and response.read() == body


@test("Expect: 100-continue refused: the answer comes, the body is never asked for")
def expect_refused(_context, between):
    class Refusing(Handler):
        def handle_expect_100(self):
            self.close_connection = True
            self.answer(b"no, thank you", 417, Connection="close")
            return False

        def do_POST(self):
            self.answer(b"without Expect", 500)

    there = between(Refusing)
    connection = there.connection()
    connection.putrequest("POST", "/expect")
    connection.putheader("Expect", "100-continue")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, response.read()) == (417, b"no, thank you"), response.status


@test("pieces of an answer arrive as they are written, chunked and sized", WAYS)
def streaming(_context, between):
    go = threading.Semaphore(0)

    class Slow(Handler):
        def do_GET(self):
            chunked = self.path == "/chunked"
            self.send_response(200)
            self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "110")))
            self.end_headers()
            for i in range(10):
                assert go.acquire(timeout=20)  # not before the client has read the last one
                piece = b"%d" % i * (i * 2 + 2)
                (self.chunk if chunked else self.wfile.write)(piece)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")

    there = between(Slow)
    connection = there.connection()
    for path in ("/chunked", "/sized"):
        connection.request("GET", path)
        response = connection.getresponse()
        for i in range(10):
            go.release()
            assert response.read(i * 2 + 2) == b"%d" % i * (i * 2 + 2)
        assert response.read() == b""
        there.check_outcomes(path, 1, "forwarded")


@test("an answer that ends with its connection arrives whole; so does the next", WAYS)
def until_close(_context, between):
    content = os.urandom(2_000_000)

    class Old(Handler):
        protocol_version = "HTTP/1.0"

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

    there = between(Old)
    connection = there.connection()
    for _ in range(3):
        response = ask(connection, path="/old")
        assert response.getheader("Content-Length") is None
        assert checksum(response.content) == checksum(content)
    there.check_outcomes("/old", 3, "forwarded")


@test("an answer that is cut off is not taken for a whole one")
def truncated(_context, between):
    class Liar(Handler):
        def do_GET(self):
            self.send_response(200)
            chunked = self.path == "/chunked"
            self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "1000")))
            self.end_headers()
            (self.chunk if chunked else self.wfile.write)(b"a part")
            self.close_connection = True

    there = between(Liar)
    for path in ("/chunked", "/sized"):
        try:
            content = ask(there.connection(), path=path).content
        except (http.client.IncompleteRead, ConnectionResetError):
            there.check_outcomes(path, 1, "target_truncated")
            continue
        raise AssertionError(f"{path} was read as {content}")


@test("Connection: close: the answer says so too, and the connection ends; the next request opens another", WAYS)
def close(_context, between):
    connection = between(Mirror).connection()
    assert ask(connection, body=b"1").content == b"1"
    kept = connection.sock
    response = ask(connection, body=b"2", headers={"Connection": "close"})
    assert response.content == b"2" and (response.will_close or DIRECT)
    if DIRECT:  # http.server closes without a word
        return
    assert kept.fileno() < 0  # http.client has closed it at the end of the answer
    assert ask(connection, body=b"3").content == b"3"
    assert connection.sock is not kept


@test("a client that half-closes behind its request gets its answer")
def half_close(_context, between):
    class Late(Mirror):
        def do_POST(self):
            threading.Event().wait(0.2)
            super().do_POST()

    there = between(Late)
    connection = there.connection()
    connection.request("POST", "/half", os.urandom(100_000))
    connection.sock.shutdown(socket.SHUT_WR)
    response = connection.getresponse()
    assert response.status == 200 and len(response.read()) == 100_000
    there.check_outcomes("/half", 1, "forwarded")


@test("a server that answers 413 and reads no further: the answer can be read")
def early(_context, between):
    class Full(Handler):
        def do_POST(self):
            self.close_connection = True
            self.answer(b"too large", 413, Connection="close")

    there = between(Full)
    connection = there.connection()
    connection.putrequest("POST", "/early")
    connection.putheader("Content-Length", "50000000")
    connection.endheaders()
    try:
        for _ in range(50):
            connection.send(bytes(1_000_000))
    except (BrokenPipeError, ConnectionResetError):
        pass
    response = connection.getresponse()
    assert (response.status, response.read()) == (413, b"too large"), response.status


@test("fields: many, long, repeated, in Latin-1, empty", WAYS)
def fields(_context, between):
    seen = []

    class Fields(Handler):
        def do_GET(self):
            seen.append(self.headers)
            self.send_response(200)
            for i in range(3):
                self.send_header("Set-Cookie", f"c{i}=v; Path=/{i}")
            for i in range(60):
                self.send_header(f"X-Field-{i}", "v" * i if i else "zero")
            self.send_header("X-Latin", "sch\u00f6n")
            self.send_header("X-Long", "l" * 4000)
            self.send_header("Content-Length", "0")
            self.end_headers()

    connection = between(Fields).connection()
    connection.putrequest("GET", "/fields")
    for i in range(60):
        connection.putheader(f"X-Field-{i}", "v" * i)
    for value in ("a", "b", "c"):
        connection.putheader("X-Repeated", value)
    connection.putheader("X-Latin", "sch\u00f6n".encode("latin-1"))
    connection.putheader("X-Long", "l" * 4000)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    assert response.headers.get_all("Set-Cookie") == [f"c{i}=v; Path=/{i}" for i in range(3)]
    assert seen[0].get_all("X-Repeated") == ["a", "b", "c"]
    for headers in (seen[0], response.headers):
        assert all(headers[f"X-Field-{i}"] == "v" * i for i in range(1, 60))
        assert headers["X-Latin"] == "sch\u00f6n" and headers["X-Long"] == "l" * 4000
    assert seen[0]["X-Field-0"] == ""


@test("twenty threads, each with a connection of its own, 20 exchanges each")
def threads(_context, between):
    there = between(Mirror)
    failures = []

    def work(number):
        try:
            connection = there.connection()
            for i in range(20):
                body = b"%d/%d " % (number, i) * (i * 100)
                assert ask(connection, "PUT", "/many", body).content == body
        except Exception as error:  # pylint: disable=broad-except
            failures.append(f"{number}: {error!r}")

    running = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(20)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(20)
    assert not failures, failures[:5]
    there.check_outcomes("/many", 400, "forwarded")


@test("the stock file server: a file, HEAD, If-Modified-Since, a directory, 404", WAYS)
def files(context, between):
    content = os.urandom(5_000_000)
    root = context.path("root")
    os.makedirs(os.path.join(root, "directory"))
    with open(os.path.join(root, "file.bin"), "wb") as f:
        f.write(content)

    class Files(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=root)

        def log_message(self, *_):
            pass

    connection = between(Files).connection()
    whole = ask(connection, path="/file.bin")
    assert whole.status == 200 and checksum(whole.content) == checksum(content)
    head = ask(connection, "HEAD", "/file.bin")
    assert head.headers["Content-Length"] == "5000000" and head.content == b""
    unchanged = ask(connection, path="/file.bin", headers={"If-Modified-Since": whole.headers["Last-Modified"]})
    assert unchanged.status == 304 and unchanged.content == b""
    moved = ask(connection, path="/directory")
    assert (moved.status, moved.headers["Location"]) == (301, "/directory/")
    listing = ask(connection, path="/")
    assert listing.status == 200 and b"file.bin" in listing.content
    missing = ask(connection, path="/missing")
    assert missing.status == 404 and b"File not found" in missing.content
