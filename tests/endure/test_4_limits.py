"""Limits and time-outs are lowered and raised by a reload while requests are under way that are as large, or as slow, as the old
ones allow: each ends as it began, and the next is measured by the new ones."""

import hashlib
import signal
import threading
import time

import peers
import tap
import wire
from world import SLOW, World, n_times

BODY = bytes(range(256)) * 4096  # 1 MiB
N_AT_ONCE = 12


class Limits:
    """A world whose limits change; where each stands in the configuration is told by its name there."""

    def __init__(self, context, place, large, small, more=None):
        self.context, self.place, self.large, self.small, self.more = context, place, large, small, more or {}
        self.world = World(context, kinds=("path", "tcp"), workers=4)
        self.n, self.running = 0, None
        self.set(large)
        self.running = self.world.start()
        peers.until(lambda: self.says() == "r1", 20, "the first answer")

    def set(self, value):
        self.n += 1
        document = self.world.document(f"r{self.n}")
        for place, it in {**self.more, self.place: value}.items():
            section, *keys = place.split(".")
            # "path" is the listener, "app" the target.
            found = document["targets"]["app"] if section == "app" else document["listeners"][-1]
            for key in keys[:-1]:
                found = found.setdefault(key, {})
            found[keys[-1]] = it
        self.world.write(document)
        if self.running:
            self.running.process.send_signal(signal.SIGHUP)
            digest = self.world.digest()
            peers.until(lambda: any(digest in line for line in self.running.log_of(" reloaded ")), 20 * SLOW, f"{self.place} {value}, in all workers")
            assert self.says() == f"r{self.n}"

    def says(self):
        """What is served by the listener whose limits do not change."""
        try:
            return wire.exchange(self.world.addresses["tcp"], "GET", "/generation", "Connection: close").body.decode()
        except (OSError, EOFError):
            return None


def half_a_head(connection, size, pause):
    """The function that is returned sends the rest and expects the answer."""
    head = wire.head("GET", "/echo", "X-Filler: " + "x" * (size - 200))
    connection.send(head[:len(head) // 2])

    def finish():
        time.sleep(pause)
        connection.send(head[len(head) // 2:])
        return wire.Response(connection)

    return finish


def half_a_body(connection, size, pause):
    body = BODY[:size]
    connection.send(wire.head("POST", "/sum", f"Content-Length: {size}") + body[:size // 2])

    def finish():
        time.sleep(pause)
        connection.send(body[size // 2:])
        got = wire.Response(connection)
        assert got.status != 200 or got.body.decode() == hashlib.sha256(body).hexdigest(), "another sum"
        return got

    return finish


def slow_answer(connection, milliseconds, _pause):
    connection.send(wire.head("GET", f"/slow/{milliseconds}"))
    return lambda: wire.Response(connection)


def idle_tunnel(connection, _size, pause):
    connection.send(wire.head("GET", "/tunnel", "Connection: Upgrade", "Upgrade: endure"))
    got = wire.Response(connection, body=False)
    assert got.status == 101, got.status

    def finish():
        time.sleep(pause)
        connection.send(b"ping")
        assert connection.exactly(4) == b"ping"
        got.status = 200
        return got

    return finish


def under_way(limits, begin, argument, pause, n):
    """So many requests have begun; the function that is returned ends them and expects that each is answered."""
    connections = [wire.client(limits.world.path, 30) for _ in range(n)]
    finishes = [begin(connection, argument, pause) for connection in connections]
    time.sleep(0.3)  # all of them are where they are to be

    def finish():
        statuses, errors = [], []

        def one(i):
            try:
                statuses.append(finishes[i]().status)
            except (OSError, EOFError, AssertionError) as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for connection in connections:
            connection.close()
        assert not errors and statuses == [200] * n, f"{limits.place}: {statuses} {errors}: {limits.running.output()[-2000:]}"

    return finish


def once(limits, begin, argument, pause=0.0):
    """One request from its beginning to its end: its status; 0 when it was closed without an answer."""
    with wire.client(limits.world.path, 30) as connection:
        try:
            return begin(connection, argument, pause)().status
        except (OSError, EOFError):
            return 0


def make_test(place, large, small, begin, sizes, refused, n=1, pause=0.0, more=None):
    """`sizes`: what fits the large value, and what fits the small one. `refused`: what may become of the first where the second
    is the rule; None: it is nothing that a status tells."""

    @tap.test(f"{place} is lowered to {small} and raised to {large}, {n_times(2, 10)} times, while {n} requests are under way", 300)
    def _change(context):
        limits = Limits(context, place, large, small, more)
        for _ in range(n_times(2, 10)):
            finish = under_way(limits, begin, sizes[0], pause, n)
            limits.set(small)
            finish()
            if refused is not None:
                status = once(limits, begin, sizes[0], pause)
                assert status in refused, f"{status} where {small} is the limit, not {refused}"
            peers.until(lambda: once(limits, begin, sizes[1]) == 200, 20, "an answer, when those from before have left")
            finish = under_way(limits, begin, sizes[1], 0, min(n, 2))
            limits.set(large)
            finish()
            assert once(limits, begin, sizes[0]) == 200, f"not answered where {large} is the limit again"
        limits.running.terminate(30)
        limits.running.await_end()


make_test("path.limits.header", "64KiB", "1KiB", half_a_head, (60_000, 900), (431,), n=4)
make_test("path.limits.body", "1MiB", "64KiB", half_a_body, (1 << 20, 65_536), (413,), n=4)
make_test("path.limits.connections", 64, 4, half_a_body, (500_000, 500_000), None, n=N_AT_ONCE)
make_test("path.limits.connections_per_uid", 64, 4, half_a_body, (500_000, 500_000), None, n=N_AT_ONCE)
make_test("path.timeouts.head", "20s", "3s", half_a_head, (10_000, 10_000), (408, 0), n=4, pause=6)
make_test("path.timeouts.body", "20s", "3s", half_a_body, (500_000, 500_000), (408, 0), n=4, pause=6)
make_test("app.timeouts.response", "20s", "3s", slow_answer, (5000, 50), (504,), n=4)
make_test("app.timeouts.tunnel", "1m", "3s", idle_tunnel, (0, 0), (0,), n=4, pause=6)
make_test("app.connections.max", 64, 2, slow_answer, (800, 300), None, n=N_AT_ONCE)
make_test("app.connections.queue", 64, 1, slow_answer, (300, 300), None, n=N_AT_ONCE, more={"app.connections.max": 2, "app.timeouts.connect": "20s"})


@tap.test("connections.max is never passed by what begins after it was lowered", 120)
def never_passed(context):
    limits = Limits(context, "app.connections.max", 64, 2, {"app.timeouts.connect": "20s"})
    finish = under_way(limits, slow_answer, 500, 0, N_AT_ONCE)
    limits.set(2)
    finish()
    begun = time.monotonic()
    under_way(limits, slow_answer, 200, 0, N_AT_ONCE)()
    took = time.monotonic() - begun
    assert took > 0.2 * N_AT_ONCE / 2 * 0.95, f"{N_AT_ONCE} answers of 200 ms each took {took:.2f} s over 2 connections"
