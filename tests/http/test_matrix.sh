#!/bin/bash
# The validation matrix: each row of matrix.md is a test.
exec /usr/bin/python3 -B "$(dirname "$0")/matrix.py"
