"""How long a connection to a target is used: as long as the configuration says, and as the target itself says."""

import time

import peers
import wire
from porthole import Porthole
from tap import test


class Numbered(peers.Target):
    """Answers with the number of the connection, and the lines that are asked for."""

    def __init__(self, context, *lines, address=None):
        self.lines, self.n_connections = lines, 0
        super().__init__(context, address or f"unix:{context.path('numbered.sock')}", self._answer)

    def _answer(self, connection, _target):
        with self.lock:
            self.n_connections += 1
            number = self.n_connections
        while True:
            wire.Request(connection)
            connection.send(wire.answer(str(number).encode(), *self.lines))


def number(porthole, method="GET"):
    got = wire.exchange(porthole.address, method)
    assert got.status == 200, got.status
    return int(got.body)


def in_front_of(context, target, **connections):
    return Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": connections}})


@test("connections.max_age: an older one is not used again, and does not stay open for long")
def max_age(context):
    target = Numbered(context)
    porthole = in_front_of(context, target, max_age="3s")
    begun = time.monotonic()
    assert [number(porthole) for _ in range(3)] == [1, 1, 1]
    while (last := number(porthole)) == 1:
        time.sleep(0.05)
    passed = time.monotonic() - begun
    assert last == 2 and passed < 15, (last, passed)
    if passed < 2.7:
        raise AssertionError(f"left after {passed:.2f} s, before nine tenths of its age")
    time.sleep(3)
    peers.until(lambda: len(target.open) == 0, 8, "the end of a connection that is not used any more")


@test("Keep-Alive: timeout=5 of a target: a connection that was idle for longer than four seconds is left to it")
def timeout(context):
    target = Numbered(context, "Keep-Alive: timeout=5, max=100")
    porthole = in_front_of(context, target)
    assert [number(porthole) for _ in range(5)] == [1] * 5
    time.sleep(0.5)
    assert number(porthole) == 1
    time.sleep(4.2)
    assert number(porthole, "POST") == 2


@test("Keep-Alive: max=0 or timeout=0 of a target: the connection carries nothing more")
def last(context):
    for i, line in enumerate(("Keep-Alive: max=0", "Keep-Alive: timeout=0, max=5")):
        target = Numbered(context, line, address=f"unix:{context.path(f'last{i}.sock')}")
        porthole = in_front_of(context, target)
        assert [number(porthole) for _ in range(3)] == [1, 2, 3]
        porthole.stop()
