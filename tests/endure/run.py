"""Runs the tests of test_*.py beside this file and prints TAP."""

import glob
import importlib
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import tap  # noqa: E402  needs the path above


def main():
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(tap.run(sys.argv[1:], int(os.environ.get("AT_ONCE") or os.cpu_count())))


if __name__ == "__main__":
    main()
