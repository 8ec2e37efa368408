#!/bin/sh
# Measures porthole beside nginx, HAProxy and Caddy: builds the three tools, which need nothing of porthole, and hands
# over to run.py, which explains itself (tests/bench/run.sh --help); or to compare.py, for builds of porthole among themselves
# (tests/bench/run.sh compare --help); or to hostile.py, for clients and targets that are (tests/bench/run.sh hostile --help); or to
# scale.py, for curves (tests/bench/run.sh scale --help). QUICK=1 in the environment asks for the short form.
set -eu

cd "$(dirname "$0")/../.."
mkdir -p build/bench
for tool in backend blast hostile tunnel; do
    if [ -z "$(find build/bench/$tool -newer tests/bench/$tool.c -newer tests/bench/wire.h 2>/dev/null)" ]; then
        ${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -I. -o build/bench/$tool tests/bench/$tool.c
    fi
done
program=run
case "${1-}" in
compare | hostile | scale)
    program=$1
    shift
    ;;
esac
exec /usr/bin/python3 -B tests/bench/$program.py ${QUICK:+--quick} "$@"
