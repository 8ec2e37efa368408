"""Learning: what docker does through a listener that only observes becomes routes (porthole suggest), under which the same session
works, with other containers too, and other calls are refused."""

import json
import os
import subprocess

import tap
from docker_cli import until
from docker_world import IMAGE, world

PORTHOLE = os.environ.get("PORTHOLE", "build/porthole")


def session(context, docker, box):
    docker.run("version").check()
    docker.run("ps").check()
    name = world().forget(context, docker.name())
    docker.run("run", "--network", "none", "--name", name, IMAGE, "echo", "hello").check(0, b"hello\n")
    docker.run("logs", name).check(0, b"hello\n")
    docker.run("exec", box, "echo", "within").check(0, b"within\n")
    docker.run("events", "--since", "2", "--until", "3").check()


OTHERS = (["info"], ["images"], ["image", "inspect", IMAGE], ["top", "box"], ["diff", "box"],
          ["stop", "box"], ["kill", "box"], ["restart", "box"], ["pause", "box"], ["rename", "box", "other"], ["rm", "--force", "box"],
          ["rmi", IMAGE], ["export", "box"], ["save", IMAGE], ["commit", "box"], ["tag", IMAGE, "other:1"], ["volume", "ls"],
          ["volume", "create", "x"], ["network", "ls"], ["network", "create", "x"], ["system", "df"], ["cp", "box:/bin/busybox", "-"],
          ["update", "--memory", "1g", "box"], ["swarm", "init"])


def learn(context):
    """What was seen of a session, by a listener that would have refused all of it."""
    path = world().path("learning.sock")
    porthole = world().start_porthole("learning", context=context, listeners=[
        {"bind": f"unix:{path}", "observe": "podman", "routes": [{"deny": {"status": 403, "body": "no\n"}}]}])
    session(context, world().through.at(path), world().box())
    until(lambda: b'"request":"/v1.' in open(porthole.access_path, "rb").read() and
          b"/events" in open(porthole.access_path, "rb").read(), 10, "the last line of the log")
    made = subprocess.run([PORTHOLE, "suggest", porthole.access_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert made.returncode == 0, made
    return made


@tap.test("suggest: under the routes made of a session the same session works, and 20 other calls are refused", 240)
def suggest(context):
    made = learn(context)
    file = context.path("suggested.json")
    with open(file, "wb") as f:
        f.write(made.stdout)
    checked = subprocess.run([PORTHOLE, "check", "--strict", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert checked.returncode == 0, checked
    routes = json.loads(made.stdout)["listeners"][0]["routes"]
    assert 5 < len(routes) < 25 and "deny" in routes[-1], made
    path = world().path("enforcing.sock")
    world().start_porthole("enforcing", context=context, listeners=[{"bind": f"unix:{path}", "routes": routes}])
    docker, n_refused = world().through.at(path), 0
    session(context, docker, world().box())
    for arguments in OTHERS:
        got = docker.run(*arguments)
        assert got.status != 0, f"{got} with {made.stdout.decode()}"
        n_refused += b"not through this socket" in got.err or b"403" in got.err
    assert n_refused >= 20, n_refused
    world().direct.run("inspect", "--format", "{{.State.Running}}", "box").check(0, b"true\n")
