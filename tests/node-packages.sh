#!/bin/bash
# Installs the packages of FOLDER/package-lock.json, and nothing else, as the directory WHERE, unless they are there. When
# they cannot be had it prints TAP that says so, and fails.
# usage: tests/node-packages.sh FOLDER WHERE
set -eu

readonly folder=$1 where=$2

# The directory gets its name when it is whole, so a lock file in it stands for all of its packages.
cmp -s "$folder/package-lock.json" "$where/package-lock.json" && exit
rm -rf "$where.new"
mkdir -p "$where.new"
cp "$folder/package.json" "$folder/package-lock.json" "$where.new"
for try in 1 2 3; do
    if (cd "$where.new" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund) >&2; then
        rm -rf "$where"
        mv "$where.new" "$where"
        exit
    fi
    echo "# npm ci failed, attempt $try"
done
echo "1..1"
echo "not ok 1 - npm ci: the packages of $folder/package-lock.json cannot be installed"
exit 1
