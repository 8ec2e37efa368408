#!/bin/sh
# Everything at once against one porthole of several workers, best a build with a sanitizer. Prints TAP.
# Environment: PORTHOLE       the program under test (default: build/porthole)
#              STORM_SECONDS  for each storm (default: 10)
#              STORM_SEED     of its random choices (default: another each time, told in the log)
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
exec /usr/bin/python3 -u -B tests/storm/storm.py "$@"
