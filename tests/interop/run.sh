#!/bin/sh
# Interoperation and bad weather: porthole between programs of other people, and between scripted peers that stall, leave,
# lie and reset. Prints TAP. Compiles its two cpp-httplib programs and hands over to run.py.
# usage: tests/interop/run.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE        the program under test (default: build/porthole)
#              PORTHOLE_BUILD  where the compiled programs go, below tests/interop (default: build)
#              AT_ONCE         how many tests at once (default: three for each processor)
#              SHORT=1         256 MiB instead of 2 GiB bodies
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
helpers=${PORTHOLE_BUILD:-$PWD/build}/tests/interop
mkdir -p "$helpers"
for name in httplib_client httplib_server; do
    if [ -z "$(find "$helpers/$name" -newer "tests/interop/$name.cc" 2>/dev/null)" ]; then
        ${CXX:-g++} -std=c++17 -O1 -Wall -Wextra -pthread -o "$helpers/$name" "tests/interop/$name.cc" -lcpp-httplib ||
            echo "# $name cannot be compiled here"
    fi
done
export INTEROP_HELPERS="$helpers"
exec /usr/bin/python3 -u -B tests/interop/run.py "$@"
