#!/bin/bash
# What tools ask of Docker, through the policies: tools.md.
exec /usr/bin/python3 -B "$(dirname "$0")/tools.py"
