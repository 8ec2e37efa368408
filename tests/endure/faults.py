"""Calls that fail in a porthole (faults.c), as a test has them."""

import mmap
import os
import struct
import subprocess

import tap
from porthole import PROGRAM

MEMORY, DESCRIPTORS, THREADS = 1, 2, 3
ALL, MAIN_THREAD, OTHER_THREADS = 0, 1, 2
NAMES = {MEMORY: "memory", DESCRIPTORS: "a descriptor", THREADS: "a thread"}
LIBRARY = os.path.join(os.environ["PORTHOLE_BUILD"], "tests", "endure", "faults.so")
BYTES = 4096
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
        return {"LD_PRELOAD": LIBRARY, "FAULTS": self.path,
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
