#!/usr/bin/python3 -B
"""Sends what tools.md lists through each policy, and prints TAP: what a row lists passes as it is, the rest is denied.

usage: tools.py [WORD...]      only the rows with one of the words; PORTHOLE is the program
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("PORTHOLE", "build/porthole")
PATIENCE_S = 20
LEAST_REQUESTS = 80
PINGS = ["GET /_ping", "HEAD /_ping"]
NAMES = {"{id}": "my-app_1.x", "{image}": "registry.example:5000/team/app:1.0@sha256:0123", "{exec}": 16 * "0a9f"}
BODIES = {
    "POST /containers/create?name=a": '{"Image":"a","HostConfig":{}}',
    "POST /containers/{id}/exec": '{"Cmd":["a"]}',
    "POST /containers/{id}/update": "{}",
    "POST /exec/{exec}/start": '{"Detach":false,"Tty":false}',
    "POST /networks/create": '{"Name":"a"}',
    "POST /networks/{id}/connect": '{"Container":"a"}',
    "POST /networks/{id}/disconnect": '{"Container":"a"}',
    "POST /volumes/create": '{"Name":"a"}',
}


def read_document():
    """The rows as (policy, requests), and all requests of the document once."""
    with open(f"{HERE}/tools.md", encoding="ascii") as file:
        text = file.read()
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[1].startswith("docker-"):
            rows.append((cells[0].lstrip("| "), cells[1], re.findall(r"`([^`]+)`", cells[2])))
    every = PINGS + re.findall(r"`([A-Z]+ /[^`]*)`", text[text.index("\n|"):])
    return rows, list(dict.fromkeys(every))


class Target:
    """Answers every request with 200, and keeps their request lines, and all bytes of each connection."""

    def __init__(self, path):
        self.lines, self.connections = [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data, number = b"", len(self.connections)
        self.connections.append(b"")
        while piece := connection.recv(65536):
            data += piece
            self.connections[number] += piece
            while b"\r\n\r\n" in data:
                head, rest = data.split(b"\r\n\r\n", 1)
                length = re.search(rb"\r\nContent-Length: (\d+)", head)
                if length and len(rest) < int(length[1]):
                    break
                data = rest[int(length[1]) if length else 0 :]
                self.lines.append(head.split(b" HTTP/")[0].decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def start(policy, directory):
    with open(f"{HERE}/../../config/examples/{policy}.json", encoding="ascii") as file:
        configuration = json.load(file)
    listener = configuration["listeners"][0]
    listener.update(bind=f"unix:{directory}/p.sock")
    configuration["targets"]["docker"]["endpoints"] = [f"unix:{directory}/t.sock"]
    configuration["log"] = {"access": {"format": "json", "to": f"{directory}/access"}}
    with open(f"{directory}/c.json", "w", encoding="ascii") as file:
        json.dump(configuration, file)
    with open(f"{directory}/error", "wb") as error:
        process = subprocess.Popen([PROGRAM, "run", "-c", f"{directory}/c.json"], stderr=error)
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(f"{directory}/p.sock"):
        if process.poll() is not None or time.monotonic() > end:
            with open(f"{directory}/error", encoding="utf-8") as error:
                raise SystemExit(f"porthole does not start:\n{error.read()}")
        time.sleep(0.01)
    return process


def ask(path, request, body):
    """The status and the body of the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(path)
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        connection.sendall(f"{request} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{fields}\r\n{body}".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), rest


def concrete(request, version):
    method, path = request.split(" ")
    for name, value in NAMES.items():
        path = path.replace(name, value)
    return f"{method} {version}{path}"


def judge(target, path, request, sent, permitted):
    """What is wrong with what became of one request; None when nothing is."""
    del target.lines[:]
    status, body = ask(path, sent, BODIES.get(request, ""))
    if permitted:
        return None if (status, target.lines) == (200, [sent]) else f"{sent}: {status}, the target got {target.lines}"
    if status != 403 or target.lines:
        return f"{sent}: {status}, the target got {target.lines}"
    if not sent.startswith("HEAD ") and "not allowed by the policy" not in json.loads(body)["message"]:
        return f"{sent}: told {body}"
    return None


def outcomes(directory):
    with open(f"{directory}/access", encoding="utf-8") as file:
        return [json.loads(line)["outcome"] for line in file]


def run_row(policy, listed, every):
    """What is wrong, and the bytes that the target received on each connection."""
    with tempfile.TemporaryDirectory(prefix="tools-") as directory:
        target = Target(f"{directory}/t.sock")
        process = start(policy, directory)
        faults, expected = [], []
        for version in ("", "/v1.40", "/v1.52"):
            for request in every:
                permitted = request in listed or request in PINGS
                expected.append("forwarded" if permitted else "denied")
                faults.append(judge(target, f"{directory}/p.sock", request, concrete(request, version), permitted))
        process.send_signal(signal.SIGTERM)
        if process.wait(PATIENCE_S) != 0:
            faults.append("porthole does not end well")
        if outcomes(directory) != expected:
            faults.append("the outcomes in the access log are others")
        return [fault for fault in faults if fault], target.connections


def main():
    rows, every = read_document()
    rows = [row for row in rows if not sys.argv[1:] or any(word in row[0] + row[1] for word in sys.argv[1:])]
    print(f"1..{len(rows) + 1}")
    n_failed = 0
    for i, (tool, policy, listed) in enumerate(rows, 1):
        faults, _ = run_row(policy, listed, every)
        n_failed += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {i} - {tool}: {policy} lets {len(listed)} requests through and denies the rest")
        for fault in faults:
            print(f"# {fault}")
    files = {name[: -len(".json")] for name in os.listdir(f"{HERE}/../../config/examples") if name.startswith("docker-")}
    enough = len(sys.argv) > 1 or ({row[1] for row in rows} == files and len(every) >= LEAST_REQUESTS)
    print(f"{'ok' if enough else 'not ok'} {len(rows) + 1} - {len(rows)} rows, one for each policy of Docker's API, {len(every)} requests")
    sys.exit(n_failed > 0 or not enough)


if __name__ == "__main__":
    main()
