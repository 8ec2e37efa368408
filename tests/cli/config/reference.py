#!/usr/bin/python3
"""Holds the reference to the tables of keys: reference.py README <KEYS, what config_keys writes.

Each table of the reference stands behind a comment "keys of PREFIX" and has a row for each key below it: key, type, default,
bounds and meaning, of which only the last is free. Objects that only hold other keys have no row."""

import json
import re
import sys

COMMENT = re.compile(r"^<!-- keys of (\S+) -->$")
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \| (.+) \|$")
PREFIXES = ["document", "admin[]", "listeners[]", "listeners[].routes[]", "targets.NAME"]


def spell(value):
    return f"`{json.dumps(value)}`"


def expected(row):
    """Type, default and bounds as the reference has them."""
    kind = ", ".join(spell(word) for word in row["words"]) if "words" in row else row["type"]
    default = "required" if row["required"] else spell(row["default"]) if "default" in row else ""
    bounds = f"{row['minimum']} to {row['maximum']}" if "minimum" in row else ""
    return kind, default, bounds


def place(path):
    """The table that a key stands in, and its name there."""
    for prefix in reversed(PREFIXES[1:]):
        if path.startswith(prefix + "."):
            return prefix, path.removeprefix(prefix + ".")
    return "document", path


def read(text):
    prefix, rows = None, {}
    for line in text.splitlines():
        if comment := COMMENT.match(line):
            prefix = comment[1]
        elif line.startswith("#"):
            prefix = None
        elif prefix and (row := ROW.match(line)):
            rows[prefix, row[1]] = row.groups()[1:]
    return rows


def main():
    keys = {place(row["path"]): row for row in json.load(sys.stdin) if row["type"] != "object"}
    rows = read(open(sys.argv[1]).read())
    problems = [f"{key}: {'no row' if key in keys else 'no such key'}" for key in sorted(set(keys) ^ set(rows))]
    for key in sorted(set(keys) & set(rows)):
        if rows[key][:3] != expected(keys[key]):
            problems.append(f"{key}: {rows[key][:3]}, not {expected(keys[key])}")
    if len(keys) < 50:
        problems.append("hardly any keys")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
