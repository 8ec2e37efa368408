#!/usr/bin/python3 -B
"""Has judge.go, which reads like Docker's engine, read what came through the policies, and prints TAP: each request must be one that
the policy permits (tools.md), also in its eyes.

usage: judge.py JUDGE      the program made of judge.go; PORTHOLE is the program under test
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import matrix
import matrix_document
import tools
from matrix_message import Garbled, read_requests
from matrix_wire import ORDINARY_TARGETS


class Judge:
    def __init__(self, program, directory):
        self.path = f"{directory}/judge.sock"
        self.process = subprocess.Popen([program, self.path])
        end = time.monotonic() + tools.PATIENCE_S
        while not os.path.exists(self.path) and time.monotonic() < end:
            time.sleep(0.01)

    def read(self, data):
        """What the judge read of a connection's bytes; an answer that is none is an error."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(tools.PATIENCE_S)
            connection.connect(self.path)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        said = [json.loads(line) for line in re.findall(rb"\r\nSaid: (.*)\r\n", answer)]
        n_refused = len(re.findall(rb"^HTTP/1\.1 4", answer, re.MULTILINE))
        return said + n_refused * [{"route": "", "path": "refused", "method": ""}]


def general(request):
    """A request of tools.md as the judge names its route."""
    return re.sub(r"\{[^}]*\}", "{}", request.split("?")[0])


HARMLESS_MODES = ("", "private", "none", "shareable")
LOGS = ("", "json-file", "local")


def is_plain_volume(mount):
    """By name or without one, and of no driver, whose options could make a bind of it."""
    options = mount["VolumeOptions"] or {}
    return (mount["Type"] == "volume" and re.fullmatch(r"([\w][\w.-]*)?", mount["Source"], re.ASCII) and re.fullmatch(r"/[^:,]*", mount["Target"])
            and options.get("DriverConfig") is None and mount["BindOptions"] is None)


def harm(host):
    """What of the host a container gets that is created with this configuration, as the engine has it; None: nothing."""
    if host is None:
        return "no host configuration: the engine makes one of the document"
    for bind in host.pop("Binds") or []:
        if not re.fullmatch(r"[\w][\w.-]*:/[^:]*(:(ro|rw|nocopy))?", bind, re.ASCII):
            return f"a bind of {bind}"
    for mount in host.pop("Mounts") or []:
        if not is_plain_volume(mount):
            return f"a mount of {mount}"
    network = host.pop("NetworkMode")
    if network == "host" or ":" in network or "/" in network:
        return f"the network {network}"
    for mode in ("PidMode", "IpcMode", "UTSMode", "CgroupnsMode"):
        if (value := host.pop(mode)) not in HARMLESS_MODES:
            return f"{mode} {value}"
    for key in ("Memory", "NanoCpus", "CpuShares", "ShmSize", "AutoRemove", "ReadonlyRootfs"):
        host.pop(key)
    logs = host.pop("LogConfig")
    if logs["Type"] not in LOGS or logs["Config"]:
        return f"logs {logs}"
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if host.pop(key) is not None:  # an empty list is "none", not "the usual"
            return key
    return next((f"{key}: {value}" for key, value in host.items() if value), None)


def fault(policy, permitted, one):
    """Why what was read is not what the policy permits; None when it is."""
    if one["route"] not in permitted:
        return f"{policy}: read as '{one['route']}': {one}"
    if one.get("error") == "no JSON":
        return None  # the engine refuses the type
    if one.get("error"):
        return f"{policy}: {one}"
    if policy == "docker-ci":
        if one["route"] == "POST /containers/create" and (what := harm(one["host_config"])):
            return f"{policy}: {what}: {one}"
        if one["route"].endswith("/exec") and one["exec"]["Privileged"]:
            return f"{policy}: a privileged exec"
    if one["route"] == "POST /images/create" and "fromSrc" in (one["form"] or {}):
        return f"{policy}: an import: {one}"
    return None


def attempts(policies):
    """(policy, name, bytes of a connection) of all attempts of which something reached the target."""
    families = matrix_document.read(os.path.join(matrix.HERE, "attempts.md"))
    for family in families:
        policy = family.settings.get("policy")
        if policy not in policies:
            continue
        for case in matrix.run_family(family)[0]:
            for conversation in case.target.conversations:
                yield policy, f"{family.name}: {case.row.name}", conversation.received


def wanted(rows, every):
    """The same of what the tools ask for."""
    for _, policy, listed in rows:
        for data in tools.run_row(policy, listed, every)[1]:
            yield policy, policy, data


def judge_all(judge, permitted, exchanges):
    """What is wrong, and how many requests were read."""
    faults, n_read = [], 0
    for policy, name, data in exchanges:
        try:
            whole = [request for request in read_requests(data)[0] if request.whole]
        except Garbled as error:
            faults.append(f"{name}: {error}")
            continue
        said = judge.read(data)
        if len(said) != len(whole) and all(request.whole for request in read_requests(data)[0]):
            faults.append(f"{name}: {len(whole)} requests were read as {len(said)}: {data[:300]}")
        own = [one for one in said if one["path"].encode() not in ORDINARY_TARGETS]
        n_read += len(own)
        faults += [f"{name}: {what}" for what in (fault(policy, permitted[policy], one) for one in own) if what]
    return faults, n_read


def main():
    rows, every = tools.read_document()
    permitted = {row[1]: {general(request) for request in row[2] + tools.PINGS} for row in rows}
    n_failed = 0
    print("1..2")
    with tempfile.TemporaryDirectory(prefix="judge-") as directory:
        judge = Judge(sys.argv[1], directory)
        tests = [("attempts", attempts(permitted), 30), ("what tools ask for", wanted(rows, every), 250)]
        for i, (what, exchanges, least) in enumerate(tests, 1):
            faults, n_read = judge_all(judge, permitted, exchanges)
            faults += [] if n_read >= least else [f"only {n_read} requests were read"]
            n_failed += bool(faults)
            print(f"{'not ok' if faults else 'ok'} {i} - {what}: {n_read} requests came through, and are to Go what the policies permit")
            for line in faults:
                print(f"# {line}")
        judge.process.kill()
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main()
