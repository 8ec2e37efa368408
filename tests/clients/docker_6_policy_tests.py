"""The policies of config/examples in front of podman: what each permits does what it does directly, the rest is refused with words
that docker prints, and podman never hears of it."""

import http.client
import json
import os
import re
import socket
import sys

import tap
from docker_1_run_tests import detached
from docker_cli import until
from docker_world import IMAGE, world

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "../../config/examples")
sys.path.append(os.path.join(HERE, "../http"))

import tools  # noqa: E402  needs the path above

# Streams, which would not end by themselves.
ENDLESS = {"/events": "?since=1&until=2", "/stats": "?stream=false", "/logs": "?stdout=1"}


def socket_of(policy):
    return world().path(policy + ".sock")


def listener_of(policy):
    with open(f"{EXAMPLES}/{policy}.json", encoding="ascii") as f:
        listener = json.load(f)["listeners"][0]
    for route in listener["routes"]:
        if "target" in route:
            route["target"] = "podman"
    return {**listener, "name": policy, "bind": f"unix:{socket_of(policy)}"}


class _Once:
    porthole = None


def client(policy):
    """docker with that policy's socket. All policies have one porthole, made when first needed."""
    if not _Once.porthole:
        rows, _ = tools.read_document()
        _Once.porthole = world().start_porthole("policies", listeners=[listener_of(row[1]) for row in rows])
    return world().through.at(socket_of(policy))


def permits(policy, *commands):
    docker = client(policy)
    for arguments in commands:
        docker.run(*arguments).check()


def refuses(policy, *commands):
    docker = client(policy)
    for arguments in commands:
        got = docker.run(*arguments, stdin=b"some input\n")
        # Where the client asks for an upgrade first it tells the status only.
        told = rf"not allowed by the policy {policy} of this socket \(porthole\)|received 403"
        assert got.status != 0 and re.search(told, got.err.decode()) and b"{" not in got.err, got


def n_containers():
    return world().direct.run("ps", "--all", "--quiet").check().out.count(b"\n")


@tap.test("docker-read: docker ps, images, network, info, version and stats work; what shows secrets or changes anything does not", 240)
def read_only(context):
    box, before = world().box(), n_containers()
    permits("docker-read", ["ps"], ["ps", "--all", "--no-trunc"], ["images"], ["network", "ls"], ["version"], ["info"],
            ["stats", "--no-stream", box])
    empty = context.path("context")
    os.mkdir(empty)
    with open(os.path.join(empty, "Dockerfile"), "w", encoding="ascii") as f:
        f.write(f"FROM {IMAGE}\n")
    refuses("docker-read", ["container", "inspect", box], ["image", "inspect", IMAGE], ["logs", box], ["top", box], ["diff", box],
            ["cp", f"{box}:/bin/busybox", "-"], ["export", box], ["save", IMAGE], ["history", IMAGE], ["events", "--since", "1", "--until", "2"],
            ["volume", "ls"], ["system", "df"], ["search", "a"], ["secret", "ls"], ["service", "ls"], ["node", "ls"], ["plugin", "ls"],
            ["run", IMAGE, "true"], ["exec", box, "true"], ["attach", box], ["kill", box], ["stop", box], ["rm", "--force", box],
            ["rmi", IMAGE], ["pull", "somebody/something:1"], ["load"], ["build", empty], ["commit", box], ["tag", IMAGE, "other:1"],
            ["volume", "create", "x"], ["network", "create", "x"], ["network", "rm", "podman"], ["system", "prune", "--force"],
            ["cp", os.path.join(empty, "Dockerfile"), f"{box}:/tmp/refused"], ["update", "--memory", "1g", box],
            ["rename", box, "other"], ["pause", box], ["restart", box], ["wait", box], ["swarm", "init"])
    assert n_containers() == before
    world().direct.run("inspect", "--format", "{{.State.Running}}", box).check(0, b"true\n")


@tap.test("docker-dozzle: logs that are followed, events and inspecting work; stopping and shells do not", 240)
def dozzle(context):
    box = world().box()
    permits("docker-dozzle", ["container", "inspect", box], ["ps"], ["logs", box], ["events", "--since", "1", "--until", "2"])
    name = detached(context, world().direct, ["-i"], "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.1; done")
    live = client("docker-dozzle").start(context, "logs", "--follow", name)
    until(lambda: live.out.count(b"\n") >= 5, 20, lambda: f"five lines from {live}")
    refuses("docker-dozzle", ["stop", box], ["exec", box, "true"], ["attach", box], ["rm", "--force", box], ["image", "inspect", IMAGE])
    world().direct.run("exec", name, "touch", "/stop")  # the container may be gone before podman has asked how this ended
    live.end().check()


@tap.test("docker-dozzle-actions: containers are stopped, started and removed, not run or entered", 240)
def dozzle_actions(context):
    name = detached(context, world().direct, ["-i"], "sleep 1000")
    permits("docker-dozzle-actions", ["stop", "--time", "0", name], ["start", name], ["restart", "--time", "0", name],
            ["rm", "--force", name])
    refuses("docker-dozzle-actions", ["run", IMAGE, "true"], ["exec", world().box(), "true"], ["kill", world().box()])


@tap.test("docker-dozzle-shell: shells and attaching work, with input and in a terminal; creating does not", 240)
def dozzle_shell(context):
    docker, box = client("docker-dozzle-shell"), world().box()
    # docker asks afterwards how it ended, which Dozzle does not.
    got = docker.run("exec", "-i", box, "cat", stdin=b"some input\n")
    assert got.out == b"some input\n" and b"not allowed by the policy" in got.err, got
    terminal = docker.terminal(context, "exec", "-it", box, "sh")
    terminal.expect(b" # ")
    terminal.type(b"echo $((6 * 7)); exit\r")
    terminal.expect(b"\r\n42\r\n")
    terminal.end()
    refuses("docker-dozzle-shell", ["run", IMAGE, "true"], ["stop", box], ["cp", f"{box}:/bin/busybox", "-"])


@tap.test("docker-watchtower-update: a container is made anew under its name; builds, shells and files are refused", 240)
def watchtower(context):
    docker, name = client("docker-watchtower-update"), world().forget(context, "old")
    world().forget(context, "older")
    docker.run("create", "--network", "none", "--name", name, IMAGE, "sleep", "1000").check()
    permits("docker-watchtower-update", ["start", name], ["container", "inspect", name], ["stop", "--time", "0", name],
            ["rename", name, "older"], ["create", "--network", "none", "--name", name, IMAGE, "true"], ["start", name], ["rm", "--force", "older"])
    refuses("docker-watchtower-update", ["exec", world().box(), "true"], ["load"], ["volume", "create", "x"], ["network", "create", "x"],
            ["cp", f"{name}:/bin/busybox", "-"], ["kill", name], ["commit", name], ["import", "-"])


@tap.test("docker-portainer-view and docker-autoheal: what is shown, and restarts", 240)
def portainer_and_autoheal(context):
    box = world().box()
    permits("docker-portainer-view", ["ps"], ["container", "inspect", box], ["images"], ["volume", "ls"], ["network", "ls"], ["info"], ["version"])
    refuses("docker-portainer-view", ["logs", box], ["stop", box], ["volume", "rm", "x"], ["image", "inspect", IMAGE], ["exec", box, "true"])
    name = detached(context, world().direct, ["-i"], "sleep 1000")
    permits("docker-autoheal", ["ps"], ["restart", "--time", "0", name])
    refuses("docker-autoheal", ["stop", name], ["container", "inspect", name], ["kill", name])


@tap.test("docker-ci: jobs run, with volumes, networks and commands; privileges, the host's files and modes are refused", 240)
def ci(context):
    docker, name, box = client("docker-ci"), world().forget(context, "job"), world().box()
    context.callback(world().direct.run, "volume", "rm", "--force", "cache")
    context.callback(world().direct.run, "network", "rm", "jobs")
    permits("docker-ci", ["volume", "create", "cache"], ["network", "create", "jobs"], ["network", "rm", "jobs"])
    docker.run("run", "--name", world().forget(context, docker.name()), "--network", "none", "--volume", "cache:/cache", "--env", "A=b", IMAGE, "sh", "-c",
               "echo $A; touch /cache/x; exit 3").check(3, b"b\n")
    docker.run("run", "--name", world().forget(context, docker.name()), "-i", "--network", "none", "--volume", "cache:/cache:ro", IMAGE, "sh", "-c",
               "ls /cache; cat", stdin=b"some input\n").check(0, b"x\nsome input\n")
    permits("docker-ci", ["create", "--network", "none", "--name", name, IMAGE, "sleep", "1000"], ["start", name], ["logs", name],
            ["exec", name, "true"], ["kill", name], ["rm", name])
    run = ("run", "--rm", "--network", "none")
    refuses("docker-ci", *([*run, *options, IMAGE, "true"] for options in (
        ["--privileged"], ["--volume", "/:/h"], ["--volume", "/var/run/docker.sock:/s"], ["--mount", "type=bind,src=/,dst=/h"],
        ["--mount", "type=volume,dst=/h,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/"], ["--pid", "host"], ["--ipc", "host"],
        ["--uts", "host"], ["--userns", "host"], ["--cgroupns", "host"], ["--device-cgroup-rule", "b *:* rwm"], ["--cap-add", "SYS_ADMIN"],
        ["--security-opt", "seccomp=unconfined"], ["--security-opt", "systempaths=unconfined"], ["--volumes-from", box], ["--tmpfs", "/h"],
        ["--sysctl", "net.ipv4.ip_forward=1"], ["--publish", "22:22"], ["--publish-all"], ["--log-driver", "syslog"], ["--runtime", "evil"],
        ["--cgroup-parent", "/"], ["--oom-score-adj", "-1000"], ["--group-add", "0"])))
    # An old client has an opinion of its own on links of a container without a network.
    refuses("docker-ci", ["run", "--rm", "--link", box, IMAGE, "true"], ["run", "--rm", "--network", "host", IMAGE, "true"], ["run", "--rm", "--network", f"container:{box}", IMAGE, "true"],
            ["exec", "--privileged", box, "true"], ["volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/", "cache"],
            ["network", "create", "--driver", "macvlan", "--opt", "parent=eth0", "jobs"], ["network", "create", "--subnet", "10.0.0.0/8", "jobs"],
            ["cp", f"{box}:/bin/busybox", "-"], ["commit", box], ["update", "--memory", "1g", box], ["import", "-"], ["rmi", IMAGE])


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def look(path, what):
    connection = Connection(path)
    connection.request("GET", what)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@tap.test("docker-*: what each tool looks at is answered by podman, through its policy as directly", 240)
def looks(_context):
    names = {"{id}": world().box(), "{image}": IMAGE, "{exec}": 64 * "0"}
    rows, _ = tools.read_document()
    client("docker-read")
    directly = {}
    for tool, policy, listed in rows:
        for path in (request[len("GET ") :] for request in listed if request.startswith("GET ")):
            for word, name in names.items():
                path = path.replace(word, "podman" if path.startswith("/networks/") else name)
            path = "/v1.41" + path + next((query for end, query in ENDLESS.items() if path.endswith(end)), "")
            if path not in directly:
                directly[path] = look(world().path("podman.sock"), path)[0]
            status, body = look(socket_of(policy), path)
            assert status == directly[path] and b"not allowed by the policy" not in body, f"{tool}: {path}: {status}, {directly[path]}"
    assert sum(status == 200 for status in directly.values()) >= 12, directly
