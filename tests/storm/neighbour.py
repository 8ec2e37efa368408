"""A hostile neighbour: a process that may write a socket's directory, and moves, replaces and removes whatever appears there.
It never serves anything at the name itself. Tells how much it has done when it is asked to end.
usage: neighbour.py DIRECTORY CANARY SEED"""

import contextlib
import os
import random
import signal
import sys


class Neighbour:
    def __init__(self, canary, seed):
        self.canary, self.rng = canary, random.Random(seed)
        self.over, self.n_acts, self.n_moved = False, 0, 0

    def move_away(self, name):
        self.n_moved += 1
        away = f"away{self.n_moved % 64}"
        with contextlib.suppress(OSError):
            os.rmdir(away)
        with contextlib.suppress(OSError):
            os.unlink(away)
        os.rename(name, away)

    def replace(self, name):
        """A private directory by a link, or by one of ours with a link where the socket is to be."""
        self.move_away(name)
        if self.rng.random() < 0.5:
            os.symlink(self.canary, name)
        else:
            os.mkdir(name, 0o777)
            os.symlink(os.path.join(self.canary, "file"), os.path.join(name, "app.sock"))

    def meet(self, name):
        if name.startswith(".porthole-"):
            self.rng.choice((self.replace, self.replace, self.move_away, os.rmdir))(name)
        elif name == "app.sock" and self.rng.random() < 0.02:
            self.rng.choice((os.unlink, self.move_away))(name)
        elif not name.startswith("away") and os.path.islink(name):
            os.unlink(name)
        else:
            return
        self.n_acts += 1

    def rage(self):
        while not self.over:
            for name in os.listdir("."):
                with contextlib.suppress(OSError):
                    self.meet(name)

    def end(self, *_):
        self.over = True


def main():
    os.umask(0)
    os.chdir(sys.argv[1])
    neighbour = Neighbour(sys.argv[2], sys.argv[3])
    signal.signal(signal.SIGTERM, neighbour.end)
    neighbour.rage()
    print(neighbour.n_acts)


if __name__ == "__main__":
    main()
