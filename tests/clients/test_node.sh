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

install_packages() {
    local wanted=$CLIENTS_MODULES/package-lock.json try
    # The directory gets its name when it is whole, so a lock file in it stands for all of its packages.
    cmp -s tests/clients/package-lock.json "$wanted" && return
    rm -rf "$CLIENTS_MODULES.new"
    mkdir -p "$CLIENTS_MODULES.new"
    cp tests/clients/package.json tests/clients/package-lock.json "$CLIENTS_MODULES.new"
    for try in 1 2 3; do
        if (cd "$CLIENTS_MODULES.new" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund) >&2; then
            rm -rf "$CLIENTS_MODULES"
            mv "$CLIENTS_MODULES.new" "$CLIENTS_MODULES"
            return
        fi
        echo "# npm ci failed, attempt $try"
    done
    return 1
}

if ! install_packages; then
    echo "1..1"
    echo "not ok 1 - npm ci: the packages of tests/clients/package-lock.json cannot be installed"
    exit 1
fi
exec node tests/clients/node_main.mjs "$@"
