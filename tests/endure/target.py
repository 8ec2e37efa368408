"""The application behind the porthole, as a process of its own that none of the events concerns.

usage: target.py NAME HTTP-SOCKET STREAM-SOCKET. Until it is ended it answers
/echo (its name and the body, back), /sum (the body's SHA-256), /large/N (N bytes of a pattern), /slow/MS (later) and
/tunnel (101; bytes come back), and on the stream's socket sends back what comes."""

import hashlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))

import peers  # noqa: E402  needs the path above
import wire  # noqa: E402

PATTERN = bytes(range(251)) * 4177  # 1 MiB and a bit, of a length that no block divides


def pattern(size):
    """Byte i is i modulo 251, whatever the size."""
    for begin in range(0, size, len(PATTERN)):
        yield PATTERN[:size - begin]


def pass_back(connection):
    while data := bytes(connection.ahead) or connection.sock.recv(65536):
        connection.ahead.clear()
        connection.send(data)
    connection.sock.shutdown(1)


def serve(name):
    def script(connection, _target):
        while True:
            request = wire.Request(connection)
            what, _, argument = request.target[1:].partition("/")
            if what == "tunnel":
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: endure\r\n\r\n")
                pass_back(connection)
                return
            if what == "large":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % int(argument))
                for piece in pattern(int(argument)):
                    connection.send(piece)
                continue
            if what == "slow":
                time.sleep(int(argument) / 1000)
            body = hashlib.sha256(request.body).hexdigest().encode() if what == "sum" else request.body
            connection.send(wire.answer(body, f"X-Target: {name}"))

    return script


class Forever:
    """Stands in for a test's context: nothing is undone before the process ends."""

    def callback(self, *_):
        pass


def main():
    name, http, stream = sys.argv[1:]
    targets = [peers.Target(Forever(), f"unix:{http}", serve(name)),
               peers.Target(Forever(), f"unix:{stream}", lambda connection, _target: pass_back(connection))]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Event().wait()
    return targets


if __name__ == "__main__":
    main()
