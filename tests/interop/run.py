"""Runs the tests of test_*.py beside this file, as many at once as AT_ONCE says, and prints TAP."""

import glob
import importlib
import os
import signal
import sys

import tap


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sorted(glob.glob(os.path.join(here, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(tap.run(sys.argv[1:], int(os.environ.get("AT_ONCE") or 3 * os.cpu_count())))


if __name__ == "__main__":
    main()
