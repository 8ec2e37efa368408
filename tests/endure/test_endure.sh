#!/bin/sh
# What happens to a porthole in its life, while clients are at work: successors, stops, reloads, kill -9, and calls that
# fail.
# Prints TAP. usage: tests/endure/test_endure.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE     the program under test (default: build/porthole)
#              ENDURE       "long": as often as `make endure` does it (default: a short form of a minute)
#              ENDURE_SEED  of the moments at which things happen (default: 1)
#              AT_ONCE      how many tests at once (default: one for each processor)
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
export PORTHOLE_BUILD="${PORTHOLE_BUILD:-$PWD/build}"
exec /usr/bin/python3 -u -B tests/endure/run.py "$@"
