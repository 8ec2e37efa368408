#!/bin/sh
# Payloads through porthole, nginx and HAProxy: every difference is one that differences.md explains.
PORTHOLE=${PORTHOLE:-$(dirname "$0")/../../build/porthole}
export PORTHOLE
exec /usr/bin/python3 -B -u "$(dirname "$0")/run.py" "$@"
