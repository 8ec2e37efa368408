#!/usr/bin/python3
"""Holds schema.json, limits.def and the loader together: schema.py CONFIG_DIRECTORY TEST_DIRECTORY.

The numbers of limits.def must be those of the schema. The schema must accept every good file and every example,
and refuse a broken file exactly when its name stands in the list schema-refuses: what JSON Schema cannot see
(positions, references, duplicates, variables) is not in it."""

import json
import pathlib
import re
import sys

import jsonschema

# Where in the schema each row of limits.def stands.
PLACES = {
    "WORKERS": "properties/workers",
    "DRAIN": "properties/drain",
    "BACKLOG": "$defs/listener/properties/backlog",
    "SOCKET_MODE": "$defs/listener/properties/mode",
    "DIRECTORY_MODE": "$defs/listener/properties/directory_mode",
    "CONNECTIONS": "$defs/listener/properties/limits/properties/connections",
    "CONNECTIONS_PER_UID": "$defs/listener/properties/limits/properties/connections_per_uid",
    "HEADER": "$defs/listener/properties/limits/properties/header",
    "BODY": "$defs/listener/properties/limits/properties/body",
    "HEAD_TIMEOUT": "$defs/listener/properties/timeouts/properties/head",
    "BODY_TIMEOUT": "$defs/listener/properties/timeouts/properties/body",
    "IDLE_TIMEOUT": "$defs/listener/properties/timeouts/properties/idle",
    "TARGET_CONNECTIONS": "$defs/target/properties/connections/properties/max",
    "TARGET_IDLE": "$defs/target/properties/connections/properties/idle",
    "TARGET_IDLE_TIMEOUT": "$defs/target/properties/connections/properties/idle_timeout",
    "CONNECT_TIMEOUT": "$defs/target/properties/timeouts/properties/connect",
    "RESPONSE_TIMEOUT": "$defs/target/properties/timeouts/properties/response",
    "TARGET_IDLE_BODY": "$defs/target/properties/timeouts/properties/idle",
    "TUNNEL_TIMEOUT": "$defs/target/properties/timeouts/properties/tunnel",
}
UNITS = {
    "MS": [("ms", 1), ("s", 1000), ("m", 60000), ("h", 3600000), ("d", 86400000)],
    "BYTES": [("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("TiB", 2**40)],
}
ROW = re.compile(r'^LIMIT\((\w+), "[^"]+", (\w+), (\w+), (\w+), (\w+), "((?:[^"\\]|\\.)*)"\)$', re.MULTILINE)

problems = []


def check(condition, message):
    if not condition:
        problems.append(message)


def number(text):
    """An integer of C."""
    if text == "UINT64_MAX":
        return 2**64 - 1
    return int(text, 8 if text.startswith("0") else 10)


def spell(value, unit):
    """What value_format of the loader writes."""
    if unit == "COUNT":
        return str(value)
    if unit == "MODE":
        return f"0{value:03o}"
    if value == 2**64 - 1:
        return "unlimited"
    suffix, factor = [u for u in UNITS[unit] if u[1] == 1 or (value and value % u[1] == 0)][-1]
    return f"{value // factor}{suffix}"


def follow(schema, path):
    for step in path.split("/"):
        schema = schema[step]
    return schema


def check_limits(schema, table):
    rows = ROW.findall(table)
    check(len(rows) == table.count("\nLIMIT("), "limits.def has a row that this script cannot read")
    check({row[0] for row in rows} == set(PLACES), "limits.def and PLACES in this script differ")
    for name, unit, *numbers, sentence in rows:
        default, minimum, maximum = map(number, numbers)
        entry = follow(schema, PLACES[name])
        sentence = sentence.replace('\\"', '"')
        bounds = f"{spell(minimum, unit)} to {spell(maximum, unit)}"
        description = f"{sentence[0].upper()}{sentence[1:]}. {bounds}."
        check(entry["description"] == description, f'{name}: the schema says "{entry["description"]}", not "{description}"')
        expected = default if unit == "COUNT" else spell(default, unit)
        check(entry["default"] == expected, f"{name}: default {entry['default']!r}, not {expected!r}")
        if unit == "COUNT":
            typed = next((e for e in entry.get("anyOf", []) if e.get("type") == "integer"), entry)
            check(
                (typed["minimum"], typed["maximum"]) == (minimum, maximum),
                f"{name}: bounds {typed['minimum']} to {typed['maximum']}, not {bounds}",
            )


def check_files(validator, good, bad, refuses):
    for file in good:
        for error in validator.iter_errors(json.loads(file.read_text())):
            problems.append(f"{file.name} is good, but the schema says {error.json_path}: {error.message}")
    seen = set()
    for file in bad:
        try:
            document = json.loads(file.read_text())
        except (ValueError, RecursionError):
            check(file.stem not in refuses, f"{file.name} is not JSON and has no place in schema-refuses")
            continue
        if not validator.is_valid(document):
            seen.add(file.stem)
    for name in sorted(refuses - seen):
        problems.append(f"{name}.json is broken and the schema should see it, but it accepts it")
    for name in sorted(seen - refuses):
        problems.append(f"{name}.json is refused by the schema; add it to schema-refuses")


def main():
    config, tests = map(pathlib.Path, sys.argv[1:3])
    schema = json.loads((config / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check_limits(schema, (config / "limits.def").read_text())
    good = sorted(tests.glob("good/*.json")) + sorted(config.glob("examples/*.json"))
    bad = sorted(tests.glob("bad/*.json"))
    refuses = set((tests / "schema-refuses").read_text().split())
    check(good and bad and refuses, "no files to check")
    check_files(jsonschema.Draft202012Validator(schema), good, bad, refuses)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
