#!/bin/bash
# Node's clients and servers with porthole between them: ws, undici, http. Prints TAP. Installs the packages of
# package-lock.json, and nothing else, into the build directory, then hands over to node_main.mjs.
# usage: tests/clients/test_node.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE        the program under test (default: build/porthole)
#              PORTHOLE_BUILD  where the packages go, below tests/clients (default: build)
#              DIRECT=1        clients go straight to their servers, to see what is not porthole's doing
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
CLIENTS_MODULES=$(realpath -m "${PORTHOLE_BUILD:-$PWD/build}/tests/clients/node")
export CLIENTS_MODULES

tests/node-packages.sh tests/clients "$CLIENTS_MODULES"
exec node tests/clients/node_main.mjs "$@"
