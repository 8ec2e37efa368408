"""Runs the tests of test_*.py beside this file, one after the other, and prints TAP."""

import glob
import importlib
import os
import sys

import tap


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sorted(glob.glob(os.path.join(here, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    sys.exit(tap.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
