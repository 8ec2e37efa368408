"""What is watched: logs, events, wait, stats, and the questions that have one answer."""

import json
import os
import re
import time

from docker_1_run_tests import NO_NETWORK
from docker_cli import until
from docker_world import IMAGE, both, world


def detached(context, way, *arguments, options=()):
    name = way.name()
    world().direct.run("run", "-d", *options, *NO_NETWORK, "--name", world().forget(context, name), IMAGE, *arguments).check()
    return name


@both("logs: both outputs, each as what it is; --tail")
def logs(context, way):
    # Outputs are two pipes, read in any order: the complaint is made when the lines are in the log.
    name = detached(context, way, "sh", "-c",
                    "trap 'echo complaint >&2; exit' USR1; seq 1 2000; while :; do sleep 0.05; done")
    lines = b"".join(b"%d\n" % i for i in range(1, 2001))
    until(lambda: world().direct.run("logs", name).out == lines, 20, "the lines are in the log")
    world().direct.run("kill", "--signal", "USR1", name).check()
    world().direct.run("wait", name).check(0, b"0\n")
    got = way.run("logs", name).check(0, lines)
    assert got.err == b"complaint\n", got
    got = way.run("logs", "--tail", "3", name).check(0, b"1999\n2000\n")
    assert got.err == b"complaint\n", got


@both("logs -f: each line appears as it is written, before the next; it ends with the container")
def logs_follow(context, way):
    directory = context.path("data")
    os.mkdir(directory)
    fifo = os.path.join(directory, "fifo")
    os.mkfifo(fifo)
    name = detached(context, way, "cat", "/data/fifo", options=["-v", f"{directory}:/data"])
    live, delays = way.start(context, "logs", "-f", name), []
    with open(fifo, "wb", buffering=0) as f:
        for i in range(10):
            begin = time.monotonic()
            f.write(b"line %d\n" % i)
            live.expect(b"line %d\n" % i)
            delays.append(time.monotonic() - begin)
    live.end().check(0, b"".join(b"line %d\n" % i for i in range(10)))
    context.note(f"delay of a line: {sorted(delays)[5] * 1000:.0f} ms, at most {max(delays) * 1000:.0f} ms")
    assert max(delays) < 5, delays


@both("events: each arrives while the stream goes on")
def events(context, way):
    name = way.name()
    live = way.start(context, "events", "--since", str(int(time.time())), "--filter", f"container={name}", "--format",
                     "{{.Action}}")
    way.run("create", *NO_NETWORK, "--name", world().forget(context, name), IMAGE, "sleep", "1000").check()
    live.expect(b"create\n")
    way.run("start", name).check()
    live.expect(b"start\n")
    way.run("kill", name).check()
    begin = time.monotonic()
    live.expect(b"die\n")
    context.note(f"delay: {(time.monotonic() - begin) * 1000:.0f} ms")
    assert live.process.poll() is None, live


@both("events --until: the stream ends by itself at its time")
def events_until(context, way):
    name, begin = way.name(), int(time.time())
    world().direct.run("create", *NO_NETWORK, "--name", world().forget(context, name), IMAGE, "true").check()
    got = way.run("events", "--since", str(begin), "--until", str(int(time.time()) + 3), "--filter", f"container={name}",
                  "--format", "{{.Action}} {{.Actor.Attributes.name}}").check()
    assert got.out == f"create {name}\n".encode(), got


@both("wait: answers when the container ends, with its status; kill")
def wait(context, way):
    name = detached(context, way, "sh", "-c", "trap 'exit 21' USR1; echo ready; while :; do sleep 0.05; done")
    live = way.start(context, "wait", name)
    until(lambda: world().direct.run("logs", name).out == b"ready\n", 20, "the container is ready")
    assert live.process.poll() is None, live
    way.run("kill", "--signal", "USR1", name).check(0, name.encode() + b"\n")
    live.end().check(0, b"21\n")
    way.run("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name).check(0, b"exited 21\n")
    name = detached(context, way, "sleep", "1000")
    way.run("kill", name).check(0, name.encode() + b"\n")
    way.run("wait", name).check(0, b"137\n")


@both("top: the container's processes")
def top(_context, way):
    got = way.run("top", world().box()).check()
    lines = got.out.decode().splitlines()
    assert len(lines) >= 2 and "PID" in lines[0] and any("sleep 100000" in line for line in lines[1:]), got


@both("stats --no-stream: one line of figures")
def stats_once(_context, way):
    got = way.run("stats", "--no-stream", "--format", "{{.ID}} {{.MemUsage}} {{.PIDs}}", world().box()).check()
    number = world().direct.run("inspect", "--format", "{{.Id}}", world().box()).check().out.decode()[:12]
    assert re.fullmatch(rf"({number}|{world().box()}) [0-9.]+\w+ / [0-9.]+\w+ [1-9]\d*\n", got.out.decode()), got


@both("stats: figures keep coming")
def stats_stream(context, way):
    live = way.start(context, "stats", "--format", "figures {{.ID}}", world().box())
    until(lambda: live.out.count(b"figures ") >= 3, 30, lambda: f"three times figures from {live}")
    assert live.process.poll() is None, live


@both("version, inspect, ps, images: byte for byte what podman says")
def questions(context, way):
    name = world().forget(context, way.name())  # not the box, whose description tells who watches it
    world().direct.run("create", "--label", "word=ü\"\\/<&>", *NO_NETWORK, "--name", name, IMAGE, "true").check()
    for arguments in (["version"], ["inspect", name], ["image", "inspect", IMAGE], ["images", "--no-trunc"],
                      ["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Command}}"], ["network", "ls"],
                      ["history", "--no-trunc", "--format", "{{.ID}} {{.Size}}", IMAGE]):
        expected = world().direct.run(*arguments).check()
        got = way.run(*arguments).check(0, expected.out)
        assert got.err == expected.err and got.out, got


@both("info: what podman says, but for what changes from moment to moment")
def info(_context, way):
    first, second, got = (json.loads(docker.run("info", "--format", "{{json .}}").check().out)
                          for docker in (world().direct, world().direct, way))
    moving = {key for key in first if first[key] != second[key]} | {"SystemTime", "NGoroutines", "NFd"}
    assert len(moving) <= 6, f"nothing to compare: {moving}"
    differing = {key: (second[key], got.get(key)) for key in second if key not in moving and second[key] != got.get(key)}
    assert not differing and got["Images"] >= 1, differing


@both("housekeeping: volumes, tags, rename, restart, stop, rm")
def housekeeping(context, way):
    volume, other, name = way.name(), way.name(), detached(context, way, "sleep", "1000")
    context.callback(world().direct.run, "rm", "--force", other)
    way.run("volume", "create", volume).check(0, volume.encode() + b"\n")
    way.run("volume", "rm", volume).check(0, volume.encode() + b"\n")
    assert way.run("volume", "inspect", volume).status == 1
    way.run("tag", IMAGE, f"{volume}:tagged").check(0, b"")
    way.run("rmi", f"{volume}:tagged").check()
    way.run("rename", name, other).check(0, b"")
    way.run("restart", "-t", "0", other).check(0, other.encode() + b"\n")
    way.run("stop", "-t", "0", other).check(0, other.encode() + b"\n")
    way.run("rm", other).check(0, other.encode() + b"\n")
    assert way.run("inspect", other).status == 1
