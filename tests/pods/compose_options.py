#!/usr/bin/python3
"""Prints what `podman run` needs to run one service of a Compose file as the file says, an argument a line.

usage: compose_options.py COMPOSE.YAML SERVICE

Knows the keys that docker/compose.yaml uses and refuses others, so that nothing in it goes untested.
"""
import os
import re
import sys

import yaml

NOT_FOR_RUN = {"depends_on", "restart", "stop_grace_period"}


def expand(text):
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: os.environ.get(m[1]) or m[2], text)


def volume(text, directory):
    source, target = text.split(":", 1)
    if source.startswith("."):
        source = os.path.normpath(os.path.join(directory, source))
    return f"--volume={source}:{target}"


def options(service, directory):
    for key, value in service.items():
        if key == "environment":
            yield from (f"--env={name}={expand(text)}" for name, text in value.items())
        elif key == "volumes":
            yield from (volume(text, directory) for text in value)
        elif key == "read_only":
            yield f"--read-only={str(value).lower()}"
        elif key == "cap_drop":
            yield from (f"--cap-drop={name}" for name in value)
        elif key == "security_opt":
            yield from (f"--security-opt={name.removesuffix(':true')}" for name in value)
        elif key == "group_add":
            yield from (f"--group-add={group}" for group in value)
        elif key == "user":
            yield f"--user={value}"
        elif key == "network_mode":
            yield f"--network={value}"
        elif key not in NOT_FOR_RUN | {"image", "command"}:
            sys.exit(f"compose_options.py: unknown key {key}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        service = yaml.safe_load(file)["services"][sys.argv[2]]
    arguments = list(options(service, os.path.dirname(os.path.abspath(sys.argv[1]))))
    print("\n".join([*arguments, service["image"], *service.get("command", [])]))


main()
