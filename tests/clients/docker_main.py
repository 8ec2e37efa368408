"""Runs the tests of docker_*_tests.py beside this file, one after the other, and prints TAP."""

import glob
import importlib
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import docker_world  # noqa: E402  needs the path above
import tap  # noqa: E402


def main():
    for path in sorted(glob.glob(os.path.join(HERE, "docker_*_tests.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # containers must not outlive us
    try:
        status = tap.run(sys.argv[1:])
    finally:
        left = docker_world.close()
    if left:
        print("\n".join(f"# left behind: {what}" for what in left))
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
