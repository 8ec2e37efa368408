#!/usr/bin/python3
"""Holds schema.json and the loader together: schema.py CONFIG_DIRECTORY TEST_DIRECTORY <KEYS, what config_keys writes.

The schema must have exactly the keys of the tables, each with its type, default, bounds and sentence. It must accept every
good file and every example, and refuse a broken file exactly when its name stands in the list schema-refuses: what JSON
Schema cannot see (positions, references, duplicates, what variables expand to) is not in it."""

import json
import pathlib
import re
import sys

import jsonschema

VARIABLE = r"(?:^|[^$])\$\{"

problems = []


def check(condition, message):
    if not condition:
        problems.append(message)


class Schema:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while "$ref" in node:
            node = self.document["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return node

    def keys(self, node=None, prefix=""):
        """Every key: its path as config_keys has it, and its entry."""
        node = self.resolve(self.document if node is None else node)
        for choice in [node, *node.get("anyOf", [])]:
            for name, entry in choice.get("properties", {}).items():
                path = prefix + name
                yield path, entry
                inside = self.resolve(entry)
                if isinstance(inside.get("items"), dict):
                    yield from self.keys(inside["items"], path + "[].")
                elif inside.get("additionalProperties") in ({"$ref": "#/$defs/condition"}, {"$ref": "#/$defs/fieldValue"}):
                    pass  # one key to the tables, whatever the names are
                elif isinstance(inside.get("additionalProperties"), dict):
                    yield from self.keys(inside["additionalProperties"], path + ".NAME.")
                else:
                    yield from self.keys(inside, path + ".")


def integer(row):
    return {"type": "integer", "minimum": row["minimum"], "maximum": row["maximum"]}


# What an entry of each type must say, beside its description and default.
SHAPES = {
    "duration": lambda row: {"$ref": "#/$defs/duration"},
    "name": lambda row: {"$ref": "#/$defs/name"},
    "file": lambda row: {"$ref": "#/$defs/file"},
    "path": lambda row: {"$ref": "#/$defs/path"},
    "owner": lambda row: {"$ref": "#/$defs/owner"},
    "identity": lambda row: {"$ref": "#/$defs/identity"},
    "address": lambda row: {"$ref": "#/$defs/bind"},
    "size": lambda row: {"$ref": "#/$defs/" + ("sizeOrUnlimited" if row["maximum"] == "unlimited" else "size")},
    'size or "auto"': lambda row: {"anyOf": [{"$ref": "#/$defs/sizeOrUnlimited"}, {"type": "string", "pattern": f"^(?:auto)$|{VARIABLE}"}]},
    "mode": lambda row: {"$ref": "#/$defs/" + ("directoryMode" if row["maximum"] == "07777" else "mode")},
    "boolean": lambda row: {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/variable"}]},
    "integer": lambda row: {"anyOf": [integer(row), {"$ref": "#/$defs/variable"}]},
    "fraction": lambda row: {
        "anyOf": [{"type": "number", "minimum": row["minimum"], "maximum": row["maximum"]}, {"$ref": "#/$defs/variable"}],
    },
    'integer or "auto"': lambda row: {
        "anyOf": [integer(row), {"type": "string", "pattern": f"^(?:auto)$|{VARIABLE}"}],
    },
    "word": lambda row: {"type": "string", "pattern": f"^(?:{'|'.join(map(re.escape, row['words']))})$|{VARIABLE}"},
}


def describe(row):
    sentence = row["sentence"][0].upper() + row["sentence"][1:]
    return f"{sentence}. {row['minimum']} to {row['maximum']}." if "minimum" in row else f"{sentence}."


def check_entry(row, entry):
    path = row["path"]
    check(entry.get("description") == describe(row), f"{path}: described {entry.get('description')!r}, not {describe(row)!r}")
    check(entry.get("default") == row.get("default"), f"{path}: default {entry.get('default')!r}, not {row.get('default')!r}")
    if row["type"] in SHAPES:
        expected = SHAPES[row["type"]](row)
        found = {name: value for name, value in entry.items() if name not in ("description", "default")}
        check(found == expected, f"{path}: {found}, not {expected}")


def check_keys(schema, rows):
    entries = dict(schema.keys())
    paths = {row["path"] for row in rows}
    check(len(rows) > 50, "hardly any keys")
    for path in sorted(paths ^ set(entries)):
        problems.append(f"{path} is only in {'the tables' if path in paths else 'the schema'}")
    for row in rows:
        if row["path"] in entries:
            check_entry(row, entries[row["path"]])
            parent, _, name = row["path"].rpartition(".")
            node = schema.resolve(entries.get(parent.removesuffix("[]").removesuffix(".NAME"), schema.document))
            node = node.get("items", node)
            if parent.endswith(".NAME"):
                node = node["additionalProperties"]
            node = schema.resolve(node)
            required = any(name in choice.get("required", []) for choice in [node, *node.get("anyOf", [])])
            check(required == row["required"], f"{row['path']}: required {required}")


def check_files(validator, good, bad, refuses):
    for file in good:
        for error in validator.iter_errors(json.loads(file.read_text())):
            problems.append(f"{file.name} is good, but the schema says {error.json_path}: {error.message}")
    seen = set()
    for file in bad:
        try:
            document = json.loads(file.read_text())
        except ValueError:
            check(file.stem not in refuses, f"{file.name} is not JSON and has no place in schema-refuses")
            continue
        if not validator.is_valid(document):
            seen.add(file.stem)
    for name in sorted(refuses - seen):
        problems.append(f"{name}.json is broken and the schema should see it, but it accepts it")
    for name in sorted(seen - refuses):
        problems.append(f"{name}.json is refused by the schema; add it to schema-refuses")


def check_patterns(node):
    """A string with a variable in it is accepted wherever a pattern is asked for."""
    if isinstance(node, list):
        for child in node:
            check_patterns(child)
    elif isinstance(node, dict):
        pattern = node.get("pattern")
        if isinstance(pattern, str) and "type" in node:
            for text, wanted in (("${A}", True), ("x${A:-${B}}", True)):
                check(bool(re.search(pattern, text)) is wanted, f"{pattern} and {text}")
        for child in node.values():
            check_patterns(child)


def main():
    config, tests = map(pathlib.Path, sys.argv[1:3])
    sys.setrecursionlimit(20000)  # how deep a file may be nested differs between versions of Python
    document = json.loads((config / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    check_keys(Schema(document), json.load(sys.stdin))
    check_patterns(document)
    good = sorted(tests.glob("good/*.json")) + sorted(config.glob("examples/*.json"))
    bad = sorted(tests.glob("bad/*.json"))
    refuses = set((tests / "schema-refuses").read_text().split())
    check(good and bad and refuses, "no files to check")
    check_files(jsonschema.Draft202012Validator(document), good, bad, refuses)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
