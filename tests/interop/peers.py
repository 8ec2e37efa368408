"""What stands around porthole in these tests: scripted targets, and clients that watch whether they are disturbed."""

import glob
import os
import random
import socket
import threading
import time

import wire


def _starved_s(pid):
    """Seconds that the threads of a process were ready to run and had no processor."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as f:
                total += int(f.read().split()[1])
        except OSError:
            pass  # it has ended
    return total / 1e9


class Watch:
    """Time that passes. An upper bound is held against what of it was not the machine's doing: on a busy one the program under
    test, and we who watch it, wait for a processor now and then, which the kernel counts."""

    programs = set()  # ids of the processes under test

    def __init__(self):
        self.starved = {pid: _starved_s(pid) for pid in (os.getpid(), *self.programs)}
        self.begin = time.monotonic()

    def passed(self):
        return time.monotonic() - self.begin

    def fair(self):
        passed = self.passed()
        return passed - sum(max(0, _starved_s(pid) - before) for pid, before in self.starved.items())

    def check(self, least, most, what="it"):
        passed, fair = self.passed(), self.fair()
        assert least <= passed and fair <= most, f"{what}: {passed:.2f} s ({fair:.2f} s without waiting for a processor), not {least} to {most}"
        return passed


class Target:
    """Listens at an address; each connection is given to `script(wire, self)` in a thread of its own. A script's
    OSError and EOFError (porthole hung up) end its connection; anything else is kept in `errors`."""

    def __init__(self, context, address, script, backlog=512, around=None):
        self.script, self.around, self.errors, self.n_accepted = script, around, [], 0
        self.open, self.lock = set(), threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.marks = []  # what scripts report, with its time
        self.socket = listen(address, backlog)
        self.address = address
        if address.startswith("tcp:"):
            self.address = f"{address.rpartition(':')[0]}:{self.socket.getsockname()[1]}"
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()
        context.callback(self.stop)

    @property
    def endpoint(self):
        """As a configuration names it."""
        return self.address.replace("tcp:", "http://")

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            sock.settimeout(60)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with self.lock:
            self.n_accepted += 1
            self.open.add(sock)
        try:
            if self.around:
                sock = self.around(sock)
            self.script(wire.Wire(sock), self)
        except (OSError, EOFError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def mark(self, what):
        with self.changed:
            self.marks.append((what, time.monotonic()))
            self.changed.notify_all()

    def count(self, what):
        return sum(mark == what for mark, _ in self.marks)

    def await_count(self, what, n, seconds=5):
        with self.changed:
            if not self.changed.wait_for(lambda: self.count(what) >= n, seconds):
                raise AssertionError(f"the target saw {self.count(what)} x {what}, not {n}, in {seconds} s")

    def stop(self):
        if self.stopped:
            return
        self.stopped = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def listen(address, backlog=512):
    kind, _, rest = address.partition(":")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind("\0" + rest[1:] if rest.startswith("@") else rest)
    else:
        host, _, port = rest.rpartition(":")
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
    sock.listen(backlog)
    return sock


_PORTS = []  # sockets with the names of ports that are this process's


def free_port():
    """A TCP port for porthole to listen on: below those that the kernel gives away, and no other test's, as long as this process
    lives. That is told to other tests by an abstract socket of its name."""
    while True:
        port = random.randrange(10000, 32000)
        mine = socket.socket(socket.AF_UNIX)
        try:
            mine.bind(f"\0porthole-test-port-{port}")
            listen(f"tcp:127.0.0.1:{port}").close()
        except OSError:
            mine.close()
            continue
        _PORTS.append(mine)
        return port


def echo(connection, _target):
    """Answers each request with its own body, and what it saw of the head in fields."""
    while True:
        request = wire.Request(connection, body=False)
        if "expect" in request.fields:
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = connection.body(request.fields)
        lines = [f"X-Method: {request.method}", f"X-Target: {request.target}"]
        if request.method == "HEAD":
            connection.send(wire.answer(b"", *lines))
        elif request.fields.get("x-answer") == "chunked":
            connection.send("\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *lines, "", ""]).encode("latin-1"))
            for begin in range(0, len(request.body), 10000):
                connection.send(wire.chunk(request.body[begin : begin + 10000]))
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(wire.answer(request.body, *lines))


def reset(connection):
    """Ends a TCP connection with RST."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.sock.close()


class Bystander:
    """A client of a healthy target that must not notice anything: one keep-alive connection, and one connection per
    request, in turn."""

    def __init__(self, address, target="/healthy"):
        self.address, self.target = address, target
        self.n_done, self.slowest, self.failures = 0, 0.0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            until(lambda: self.n_done > 1 or self.failures, 10, "the other client's first requests")
        self.ended.set()
        self.thread.join(15)

    def _once(self, kept):
        watch = Watch()
        kept.send(wire.head("GET", self.target))
        assert wire.Response(kept).status == 200
        self.slowest = max(self.slowest, watch.fair())
        watch = Watch()
        assert wire.exchange(self.address, "POST", self.target, body=b"by the way").body == b"by the way"
        self.slowest = max(self.slowest, watch.fair())
        self.n_done += 2

    def _loop(self):
        try:
            with wire.client(self.address) as kept:
                while not self.ended.is_set():
                    self._once(kept)
                    time.sleep(0.005)
        except (OSError, EOFError, AssertionError) as error:
            self.failures.append(repr(error))

    def check(self, most_seconds=1.0):
        assert not self.failures, f"another client was disturbed: {self.failures}"
        assert self.n_done > 0, "the other client has done nothing"
        assert self.slowest < most_seconds, f"another client waited {self.slowest:.3f} s"


def together(n, function):
    """Calls function(i) for i below n at the same time; returns the results, raises the first exception."""
    results, errors = [None] * n, []

    def call(i):
        try:
            results[i] = function(i)
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client hangs"
    if errors:
        raise errors[0]
    return results


def until(condition, seconds=5, what="it"):
    """Waits for a condition; returns what it returned."""
    end, is_late = time.monotonic() + seconds, False
    while not (value := condition()):
        if is_late:
            raise AssertionError(f"{what} did not come true in {seconds} s")
        time.sleep(0.01)
        is_late = time.monotonic() > end  # it is looked at once more
    return value
