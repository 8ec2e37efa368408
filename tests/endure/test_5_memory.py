"""What a porthole holds after many reloads is what it held after a few: memory, descriptors, threads."""

import os
import signal
import time

import peers
import tap
import wire
from porthole import need_plain_build
from world import World, await_that, n_times, resident_kib


def descriptors(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}").partition(":[")[0])
        except OSError:
            pass
    return sorted(found)


def breakdown(pid):
    """Where it lies: heaps and anonymous mappings (the arenas of malloc), files, stacks."""
    sums, kind = {}, None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            first = line.split()[0]
            if "-" in first and not first.endswith(":"):
                name = line.split(None, 5)[5].strip() if len(line.split(None, 5)) > 5 else ""
                kind = "heap" if name == "[heap]" else "stack" if "stack" in name else "file" if name.startswith("/") else "anonymous"
            elif first == "Rss:":
                sums[kind] = sums.get(kind, 0) + int(line.split()[1])
    return sums


def warm_up(world):
    """Every worker has served, at every listener, two at once: what it keeps for that is no reload's."""
    for _ in range(100):
        for kind in ("path", "tcp", "abstract"):
            with wire.client(world.addresses[kind]) as one, wire.client(world.addresses[kind]) as other:
                for connection in (one, other):
                    connection.send(wire.head("GET", "/echo"))
                assert [wire.Response(connection).status for connection in (one, other)] == [200, 200]


def document(world, i):
    """Idle connections to targets go soon, so that descriptors can be counted."""
    made = world.document(f"r{i}", ("0660", "0600")[i % 2], "ab"[i % 2])
    for target in made["targets"].values():
        target["connections"] = {"idle_timeout": "100ms"}
    return made


def make_test(workers, n_few, n_many, most_percent):
    @tap.test(f"memory after {n_many} reloads is that after {n_few} within {most_percent} %, {workers} workers", 120 + n_many)
    def _memory(context):
        need_plain_build()
        world = World(context, workers=workers)
        world.write(document(world, 0))
        running = world.start()
        peers.until(lambda: running.says() == "r0", 20, "the first answer")
        warm_up(world)
        seen = {}
        for i in range(1, n_many + 1):
            world.write(document(world, i))
            running.process.send_signal(signal.SIGHUP)
            peers.until(lambda wanted=f"r{i}": running.says() == wanted, 20, f"reload {i}")
            if i in (n_few, n_many):
                world.settle(running)
                if seen:  # closing may take its time; what is lost is never given back
                    await_that(lambda: descriptors(running.pid) == seen[n_few][1], 20)
                seen[i] = (resident_kib(running.pid), descriptors(running.pid), breakdown(running.pid))
                context.note(f"after {i}: {seen[i][0]} KiB, {seen[i][2]}, {len(seen[i][1])} descriptors")
        few, many = seen[n_few], seen[n_many]
        assert many[1] == few[1], f"descriptors: {few[1]} before, {many[1]} after"
        assert many[0] <= few[0] * (1 + most_percent / 100), f"{few[0]} KiB before, {many[0]} KiB after"
        begun = time.monotonic()
        running.terminate(30)
        running.await_end()
        context.note(f"stopped in {time.monotonic() - begun:.2f} s")


make_test(4, 10, n_times(100, 1000), 2)
make_test(1, 10, n_times(100, 1000), 2)
