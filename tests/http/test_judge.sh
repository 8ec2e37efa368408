#!/bin/bash
# What came through the policies, read by Go as Docker reads it: judge.go.
set -eu

here=$(dirname "$0")
build=$(realpath "$here/../../build")/judge
if ! command -v go >/dev/null; then
    echo '1..0 # skip there is no go'
    exit 0
fi
mkdir -p "$build"
GO111MODULE=off GOFLAGS='' GOCACHE=$build/cache CGO_ENABLED=0 go build -o "$build/judge.$$" "$here/judge.go"
mv "$build/judge.$$" "$build/judge"
exec /usr/bin/python3 -B "$here/judge.py" "$build/judge"
