"""Calls that fail in a porthole (faults.c), as a test has them."""

import mmap
import os
import struct
import subprocess
import time

import tap
import wire
from porthole import PROGRAM

MEMORY, DESCRIPTORS, THREADS = 1, 2, 3
ALL, MAIN_THREAD, OTHER_THREADS = 0, 1, 2
NAMES = {MEMORY: "memory", DESCRIPTORS: "a descriptor", THREADS: "a thread"}
LIBRARY = os.path.join(os.environ["PORTHOLE_BUILD"], "tests", "endure", "faults.so")
BYTES = 4096
SEED = int(os.environ.get("ENDURE_SEED") or time.time())
KIND, WHO, NTH, ALL_FROM, N_CALLS, N_FAILED = range(6)  # of struct faults


class Faults:
    """Shared with one porthole."""

    def __init__(self, context, name):
        with open(PROGRAM, "rb") as f:
            if b"__tsan_init" in f.read():
                raise tap.Skip("ThreadSanitizer's allocator cannot be stood in front of")
        self.path = context.path(f"{name}.faults")
        with open(self.path, "wb") as f:
            f.write(bytes(BYTES))
        with open(self.path, "r+b") as f:
            self.shared = mmap.mmap(f.fileno(), BYTES)

    def environment(self):
        """What a porthole is started with."""
        options = os.environ.get("ASAN_OPTIONS", "")
        with open(self.path + ".leaks", "w", encoding="ascii") as f:
            f.write("leak:dl_open_worker\n")  # the dynamic linker's own
        return {"LD_PRELOAD": LIBRARY, "FAULTS": self.path, "LSAN_OPTIONS": f"suppressions={f.name}:print_suppressions=0",
                "ASAN_OPTIONS": f"{options}{':' if options else ''}verify_asan_link_order=0:allocator_may_return_null=1"}

    def _set(self, field, value):
        struct.pack_into("I", self.shared, 4 * field, value)

    def _get(self, field):
        return struct.unpack_from("I", self.shared, 4 * field)[0]

    def arm(self, kind, nth, who=ALL, all_from=False):
        """The nth call of the kind from now on fails; 0: none does, and they are counted."""
        self._set(KIND, 0)
        for field, value in ((WHO, who), (NTH, nth or (1 << 32) - 1), (ALL_FROM, int(all_from)), (N_CALLS, 0), (N_FAILED, 0)):
            self._set(field, value)
        self.shared[32:] = bytes(BYTES - 32)
        self._set(KIND, kind)

    def disarm(self):
        self._set(KIND, 0)

    @property
    def n_calls(self):
        return self._get(N_CALLS)

    @property
    def n_failed(self):
        return self._get(N_FAILED)

    def where(self):
        """Which call failed, and who called, innermost first, in one line each."""
        what, *frames = self.shared[32:].rstrip(b"\0").decode(errors="replace").splitlines() or ["no call"]
        named = []
        for frame in frames:
            file, _, offset = frame.rpartition("+")
            found = subprocess.run(["addr2line", "-f", "-s", "-e", file, offset], capture_output=True, text=True, check=False).stdout.split()
            named.append(f"{found[0]} ({found[1]})" if found and found[0] != "??" else frame)
        return "\n  ".join([what, *named])


def numbers(n_calls, most):
    """All of them, when there are no more than that; else as many, evenly, from another first one for each seed."""
    if n_calls <= most:
        return range(1, n_calls + 1)
    step = n_calls // most
    return range(1 + SEED % step, n_calls + 1, step)


class Verdicts:
    """What became of each try; those that are wrong are told together."""

    def __init__(self, context, what):
        self.context, self.what = context, what
        self.counts, self.wrong, self.places = {}, [], {}  # places: of each way to go wrong, the numbers

    def count(self, verdict):
        self.counts[verdict] = self.counts.get(verdict, 0) + 1

    def blame(self, fault, nth, why):
        where, n_places = fault.where(), len(self.places)
        self.places.setdefault((why.splitlines()[0], where.partition("\n")[2]), []).append(nth)
        if len(self.places) > n_places:
            self.wrong.append(f"{self.what} {nth}: {why}\n  {where}")

    def check(self):
        self.context.note(f"{self.what}: {self.counts}")
        n_wrong = sum(len(numbers) for numbers in self.places.values())
        assert not self.wrong, f"{n_wrong} tries went wrong, at {len(self.places)} places:\n" + "\n".join(self.wrong[:10])


def serves(running):
    """The whole way through it, to the application."""
    try:
        path = running.world.path
        return wire.exchange(path, "POST", "/echo", body=b"faults", timeout=10).body == b"faults"
    except (OSError, EOFError):
        return False
