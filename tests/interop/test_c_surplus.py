"""Answers that nobody has asked for: what a target says behind an answer is never the answer to another request, if it was
there when porthole took that connection up again."""

import signal
import threading

import ends
import peers
import wire
from tap import test

MANY = 300  # more than porthole looks at in one go


def stopped(porthole):
    with open(f"/proc/{porthole.pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


class Frozen:
    """porthole sees nothing of what happens in here before all of it has happened."""

    def __init__(self, porthole):
        self.porthole = porthole

    def __enter__(self):
        self.porthole.process.send_signal(signal.SIGSTOP)
        peers.until(lambda: stopped(self.porthole), 20, "a stop")

    def __exit__(self, *_):
        self.porthole.process.send_signal(signal.SIGCONT)


def answer_all(end):
    """Rightly, request after request, until whoever sends them closes."""
    try:
        while True:
            wire.Request(end)
            end.send(wire.answer(b"mine"))
    except (AssertionError, EOFError, OSError):
        end.close()


def answer_others(board, over):
    """Whoever comes now is answered rightly, on connections of its own, each as often as it is used."""
    while not over.wait(0.01):
        while not board.waiting.empty():
            threading.Thread(target=answer_all, args=(board.take(),), daemon=True).start()


@test(f"target puts an answer behind the answer on {MANY} idle connections at once: nobody is given one", 120)
def at_once(context):
    porthole, board = ends.house(context, connections={"idle_timeout": "1m", "max": 2 * MANY})
    clients = [wire.client(porthole.address, 60) for _ in range(MANY)]
    for client in clients:
        client.send(wire.head("GET", "/first"))
    targets = [board.take_request() for _ in range(MANY)]
    for target in targets:
        target.send(wire.answer(b"first"))
    for client in clients:
        assert wire.Response(client).body == b"first"
    over = threading.Event()
    with Frozen(porthole):
        for target in targets:
            target.send(wire.answer(b"yours", "X-Stolen: yes"))
        for client in clients:
            client.send(wire.head("GET", "/second"))
    server = threading.Thread(target=answer_others, args=(board, over), daemon=True)
    server.start()
    bodies = [wire.Response(client).body for client in clients]
    over.set()
    context.note({b: bodies.count(b) for b in bodies})
    server.join()
    assert bodies.count(b"mine") == MANY, f"{MANY - bodies.count(b'mine')} of {MANY} were given what was not theirs"
    porthole.check_outcomes("/second", MANY, "forwarded", 20)
    for end in clients + targets:
        end.close()
