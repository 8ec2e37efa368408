"""Looks at paths as fast as it may, until SIGTERM: watcher.py PAUSE-US MODE[,MODE...] PATH...

Nothing but a socket of our user with one of the modes may ever be seen at a path; nothing at all is "absent", counted from
when it was first seen. inotify tells besides whether a file was ever made at its place instead of moved there, which a look
every so many microseconds can miss. Prints JSON: how often it looked, and what was wrong, with the first time of each."""

import ctypes
import json
import os
import signal
import stat
import struct
import sys
import time

IN_CREATE, IN_NONBLOCK = 0x100, os.O_NONBLOCK


class Watcher:
    def __init__(self, modes, paths):
        self.modes, self.paths = modes, paths
        self.seen, self.over = set(), False
        self.n_looks, self.wrong = 0, {}
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = self.libc.inotify_init1(IN_NONBLOCK)
        for directory in {os.path.dirname(path) for path in paths}:
            assert self.libc.inotify_add_watch(self.inotify, directory.encode(), IN_CREATE) >= 0

    def note(self, path, what):
        key = f"{os.path.basename(path)}: {what}"
        count, first = self.wrong.get(key, (0, time.monotonic()))
        self.wrong[key] = (count + 1, first)

    def look(self, path):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            if path in self.seen:
                self.note(path, "absent")
            return
        self.seen.add(path)
        if not stat.S_ISSOCK(found.st_mode):
            self.note(path, "not a socket")
        elif stat.S_IMODE(found.st_mode) not in self.modes:
            self.note(path, f"mode {stat.S_IMODE(found.st_mode):04o}")
        elif found.st_uid != os.geteuid():
            self.note(path, f"uid {found.st_uid}")

    def look_at_events(self):
        try:
            data = os.read(self.inotify, 65536)
        except BlockingIOError:
            return
        names = {os.path.basename(path): path for path in self.paths}
        while data:
            _, _, _, length = struct.unpack_from("iIII", data)
            name = data[16:16 + length].rstrip(b"\0").decode()
            if name in names:
                self.note(names[name], "made at its place")
            data = data[16 + length:]

    def run(self, pause):
        print("looking", flush=True)
        while not self.over:
            for path in self.paths:
                self.look(path)
            self.n_looks += 1
            self.look_at_events()
            if pause:
                time.sleep(pause)
        print(json.dumps({"looks": self.n_looks, "wrong": self.wrong}))


def main():
    watcher = Watcher({int(mode, 8) for mode in sys.argv[2].split(",")}, sys.argv[3:])
    signal.signal(signal.SIGTERM, lambda *_: setattr(watcher, "over", True))
    watcher.run(int(sys.argv[1]) / 1e6)


if __name__ == "__main__":
    main()
