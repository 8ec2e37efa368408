#!/bin/sh
# Python's http.client and http.server with porthole between them. Prints TAP.
# usage: tests/clients/test_python.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE  the program under test (default: build/porthole)
#              DIRECT=1  clients go straight to their servers, to see what is not porthole's doing
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
exec /usr/bin/python3 -u -B tests/clients/python_main.py "$@"
