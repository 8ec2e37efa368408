"""The configuration changes under a porthole while clients are at work: what is new is live within a second, nobody loses a
request or a connection, tunnels go on, and the socket stays the same file, with the mode that is asked for."""

import json
import os
import signal
import threading
import time

import peers
import tap
import wire
from configmap import ConfigMap, write_slowly, write_twice
from world import SLOW, World, mode_of, n_times

LIVE_S = 1.0 * SLOW
WATCHED = True  # a change is noticed without a signal


class Reloads:
    """A world, and a porthole in it whose configuration changes."""

    def __init__(self, context, workers=4, tunnels=0):
        self.context = context
        self.world = World(context, workers=workers, modes="0660,0600")
        self.map = ConfigMap(context.path("map"), self.world.document())
        self.world.configuration = self.map.path
        self.world.watch()
        self.running = self.world.start()
        peers.Watch.programs.add(self.running.pid)
        self.running.await_ready()
        self.inode = os.stat(self.world.path[5:]).st_ino
        self.n, self.slowest = 0, 0.0
        self.world.send_crew(tunnels)
        time.sleep(0.3)

    def next(self, **more):
        """Another document: routes, a target and the mode of a listener change. It is told by its number."""
        self.n += 1
        return self.world.document(f"r{self.n}", ("0660", "0600")[self.n % 2], "ab"[self.n % 2], **more)

    def swap(self, **more):
        self.map.swap(self.next(**more))
        self.tell()

    def tell(self):
        if not WATCHED:
            self.running.process.send_signal(signal.SIGHUP)

    def hang_up(self, **more):
        """The file is replaced and the process told so at once, before it can have seen it by itself."""
        path = os.path.realpath(self.map.path)
        self.world.write(self.next(**more), path)
        self.running.process.send_signal(signal.SIGHUP)

    def what_is_live(self):
        """Of each listener of HTTP, what it serves; all alike when it is one configuration."""
        lives = set()
        for kind in self.world.kinds:
            if kind != "stream":
                address = self.world.addresses[kind]
                lives.add((wire.exchange(address, "GET", "/generation", "Connection: close").body.decode(),
                           wire.exchange(address, "GET", "/changing", "Connection: close").fields.get("x-target")))
        return lives | {mode_of(self.world.path)}

    def await_live(self, seconds=LIVE_S):
        """Time in which the program or we had no processor is not the program's."""
        watch = peers.Watch()
        wanted = {(f"r{self.n}", "ab"[self.n % 2]), (0o660, 0o600)[self.n % 2]}
        asked = watch.fair()
        while (live := self.what_is_live()) != wanted:
            assert self.running.process.poll() is None, self.running.output()[-3000:]
            assert asked < seconds, f"{live} after {watch.passed():.2f} s, not {wanted}: {self.running.output()[-3000:]}"
            asked = watch.fair()
        self.slowest = max(self.slowest, watch.passed())

    def repeat(self, change, n):
        for _ in range(n):
            change()
            self.await_live()
            time.sleep(self.world.rng.choice((0, 0.1)))
        self.end()

    def end(self, may_be_told=False):
        time.sleep(0.3)
        report = self.world.see_crew_out(kinds=("keep", "probe", "upload", "ping", "reader", "stream"))
        assert may_be_told or not report["again"], f"clients were closed: {report['again']}"
        self.world.see_watcher_out()
        assert os.stat(self.world.path[5:]).st_ino == self.inode, "the socket is another file"
        self.world.check_directory()
        self.context.note(f"{self.n} configurations; live after {self.slowest:.2f} s at most")
        self.running.terminate(30)
        self.running.await_end()
        self.world.check_directory()


class Listener:
    """Asks again and again what is served, and remembers all of it."""

    def __init__(self, reloads):
        self.reloads, self.seen, self.over = reloads, set(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            self.seen.add(self.reloads.running.says())
            time.sleep(0.005)

    def end(self):
        self.over.set()
        self.thread.join(30)
        return self.seen


N_RELOADS = n_times(10, 100)


def make_tests(workers, n):
    @tap.test(f"reload {n} times by SIGHUP under load, {workers} workers: nobody loses anything", 60 + 3 * n)
    def _hang_up(context):
        reloads = Reloads(context, workers)
        reloads.repeat(reloads.hang_up, n)

    @tap.test(f"reload {n} times by a ConfigMap's swap under load, {workers} workers: live within a second, nobody loses anything", 60 + 3 * n)
    def _swap(context):
        reloads = Reloads(context, workers)
        reloads.repeat(reloads.swap, n)


make_tests(4, N_RELOADS)
make_tests(1, n_times(5, 100))


@tap.test("50 swaps within one second settle on the last", 120)
def settles(context):
    reloads = Reloads(context)
    for _ in range(n_times(2, 10)):
        begun = time.monotonic()
        for i in range(50):
            reloads.swap()
            time.sleep(max(0, begun + 0.018 * (i + 1) - time.monotonic()))
        context.note(f"50 swaps in {time.monotonic() - begun:.2f} s")
        reloads.await_live()
        time.sleep(1)
        reloads.await_live()
    reloads.end()


@tap.test("a file that is written slowly, in place, is applied when it is whole, and not before", 180)
def half_written(context):
    reloads = Reloads(context)
    path, halves, listener = os.path.realpath(reloads.map.path), [], Listener(reloads)
    for _ in range(n_times(2, 10)):
        write_slowly(path, json.dumps(reloads.next(), indent=1))
        reloads.tell()
        reloads.await_live()
        half, halves = reloads.next(), [*halves, f"r{reloads.n}"]
        write_twice(path, json.dumps(half), json.dumps(reloads.next()))
        reloads.tell()
        reloads.await_live()
    seen = listener.end()
    assert not seen & set(halves), f"{seen & set(halves)} were served, which were only half of what was written"
    bad = [line for line in reloads.running.output().splitlines() if "not valid JSON" in line]
    context.note(f"{len(bad)} lines about a half-written file")
    reloads.end()


@tap.test("a broken file changes nothing, is told with all its errors, and the next good one is taken", 120)
def broken(context):
    reloads = Reloads(context)
    for text in ("{", '{ "listeners": 1, "wrong": 2 }', "", json.dumps({"listeners": []}), json.dumps({**reloads.world.document("broken"), "workers": 7})):
        reloads.swap()
        reloads.await_live()
        path = os.path.realpath(reloads.map.path)
        n_lines = len(reloads.running.output().splitlines())
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        reloads.running.process.send_signal(signal.SIGHUP)
        peers.until(lambda: any(" error " in line for line in reloads.running.output().splitlines()[n_lines:]), 20, f"what is told of {text!r}")
        reloads.await_live()
    reloads.swap()
    reloads.await_live()
    reloads.end()
