"""Runs the tests of python_*_tests.py beside this file, one after the other, and prints TAP."""

import glob
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import tap  # noqa: E402  needs the path above


def main():
    for path in sorted(glob.glob(os.path.join(HERE, "python_*_tests.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    sys.exit(tap.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
