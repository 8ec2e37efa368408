#!/bin/sh
# The docker command line through porthole to podman, and directly to podman beside it. Prints TAP.
# usage: tests/clients/test_docker.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE  the program under test (default: build/porthole)
#              DOCKER    the client (default: docker)
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
exec /usr/bin/python3 -u -B tests/clients/docker_main.py "$@"
