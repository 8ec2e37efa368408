"""What neighbours on a volume do to the place of a socket. usage: place.py VERB ARGUMENT..."""

import ctypes
import fcntl
import http.client
import os
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)


def until(seconds):
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        yield


def insist(function, *arguments):
    """Somebody else may have been quicker."""
    try:
        return function(*arguments)
    except OSError:
        return None


def exchange(one, other):
    """Both names at once: each path leads to the other's socket."""
    if libc.renameat2(-100, one.encode(), -100, other.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unlink(path, seconds):
    n = sum(insist(lambda: os.unlink(path) or 1) or 0 for _ in until(seconds))
    print(f"unlinked {n}")


def bind(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock


def squat(path, seconds):
    """A listening socket in the place of whatever is there, again and again; the last one stays until it ends."""
    n, own, held = 0, path + f".{os.getpid()}", None
    for _ in until(seconds):
        insist(os.unlink, own)
        fresh = insist(bind, own)
        if fresh and insist(lambda: os.rename(own, path) or True):
            held, n = fresh, n + 1
    print(f"squatted {n}", flush=True)
    time.sleep(1)
    del held


def serve(path):
    """A listening socket that nobody accepts from."""
    sock = bind(path)
    print("serves", flush=True)
    time.sleep(3600)
    del sock


def flood(directory, seconds):
    """Names come and go that are nobody's business."""
    n, names = 0, [f"{directory}/flood.{i}" for i in range(100)]
    for _ in until(seconds):
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
        for name in names:
            os.rename(name, name + ".moved")
            os.unlink(name + ".moved")
        n += 3 * len(names)
    print(f"flooded {n}")


def lock(path, *flags):
    """Holds the lock of a directory or file until it is killed; with `create`, of a file of its own."""
    fd = os.open(path, os.O_RDONLY | (os.O_CREAT if flags else 0), 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    print("locked", flush=True)
    time.sleep(3600)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def stay(path, stop):
    """Requests on one connection until the file `stop` appears."""
    connection, n = UnixConnection(path), 0
    connection.connect()
    connection.auto_open = 0  # one that is closed is not opened again
    print("connected", flush=True)
    while not os.path.exists(stop):
        connection.request("GET", "/stay")
        response = connection.getresponse()
        assert response.status == 200, response.status
        response.read()
        n += 1
        time.sleep(0.01)
    print(f"answered {n}")


def queue(path, n, ready, go):
    """Connects and asks while nobody accepts; every answer must come once `go` appears."""
    connections = [UnixConnection(path) for _ in range(int(n))]
    for connection in connections:
        connection.request("GET", "/queued")
    open(ready, "w").close()
    while not os.path.exists(go):
        time.sleep(0.02)
    answers = [connection.getresponse().status for connection in connections]
    print(f"answered {answers.count(200)}")


def main():
    verbs = (exchange, unlink, squat, serve, flood, lock, stay, queue)
    {verb.__name__: verb for verb in verbs}[sys.argv[1]](*sys.argv[2:])


main()
