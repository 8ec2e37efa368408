#!/bin/sh
# Exchanges of all kinds by the thousand against one porthole, each held byte for byte against what it was to be, and what is
# left of them. Prints TAP. usage: tests/soak/test_soak.sh [WORD...]    only the tests whose name contains one of the words
# Environment: PORTHOLE        the program under test (default: build/porthole)
#              SOAK            "long": a million, as `make soak` does it (default: a short form of some seconds)
#              SOAK_EXCHANGES  how many instead
#              SOAK_CLIENTS    how many at once (default: 96, 12 with SOAK_UNDER)
#              SOAK_SEED       of all that is done at random (default: 1)
#              SOAK_UNDER      what the program runs under: valgrind and its options
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
export PORTHOLE_BUILD="${PORTHOLE_BUILD:-$PWD/build}"
exec /usr/bin/python3 -u -B tests/soak/soak.py "$@"
