"""docker exec: its request is a POST with a body that asks for an upgrade, and its answer may be over before it began."""

import hashlib
import os
import subprocess
import threading

from docker_1_run_tests import blob
from docker_cli import until
from docker_world import both, world


@both("exec without -i: prints its output; the status is the command's")
def exec_prints(_context, way):
    box = world().box()
    got = way.run("exec", box, "sh", "-c", "echo out; echo err >&2; exit 9").check(9, b"out\n")
    assert got.err == b"err\n", got
    for i in range(10):  # what is over quickly is lost easily
        way.run("exec", box, "echo", str(i)).check(0, b"%d\n" % i)


@both("exec -i: piped input is echoed to its end")
def exec_cat(_context, way):
    way.run("exec", "-i", world().box(), "cat", stdin=b"a\nb\nno end of line").check(0, b"a\nb\nno end of line")


@both("exec -i without input: the end is carried although nothing came before it")
def exec_empty(_context, way):
    way.run("exec", "-i", world().box(), "sh", "-c", "cat; echo done").check(0, b"done\n")


@both("exec -i: 8 MB of input, by number and checksum")
def exec_counts(_context, way):
    data = blob(8_000_000)
    way.run("exec", "-i", world().box(), "wc", "-c", stdin=data).check(0, b"8000000\n")
    way.run("exec", "-i", world().box(), "md5sum", stdin=data).check(0, f"{hashlib.md5(data).hexdigest()}  -\n".encode())


@both("exec -i cat: 8 MB there and back, at the same time")
def exec_echoes(_context, way):
    data = blob(8_000_000)
    got = way.run("exec", "-i", world().box(), "cat", stdin=data).check()
    assert got.out == data, f"{len(got.out)} bytes, not {len(data)}, or others"


@both("exec: 20 MB of output to a reader that pauses; nothing is lost")
def exec_slow_reader(context, way):
    live = subprocess.Popen([way.program, "exec", world().box(), "dd", "if=/dev/zero", "bs=1000", "count=20000"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env=way.environment)
    context.callback(live.wait, 10)
    context.callback(live.kill)
    pause, n = threading.Event(), 0
    with live.stdout as pipe:
        while data := pipe.read(1_000_000):
            n += len(data)
            pause.wait(0.05)
    assert live.wait(20) == 0 and n == 20_000_000, (live.returncode, n)


@both("exec -t: the command has a terminal")
def exec_terminal(context, way):
    terminal = way.terminal(context, "exec", "-t", world().box(), "sh", "-c", "test -t 1 && echo a terminal; exit 6")
    assert terminal.end() == 6, terminal.screen
    assert terminal.screen == b"a terminal\r\n", terminal.screen


@both("exec -it: a shell that is typed at")
def exec_interactive(context, way):
    terminal = way.terminal(context, "exec", "-it", world().box(), "sh")
    terminal.expect(b" # ")
    for i in range(10):
        terminal.type(b"echo $((%d * 1000))\r" % (i + 1))
        terminal.expect(b"\r\n%d000\r\n" % (i + 1))
    terminal.type(b"exit 12\r")
    assert terminal.end() == 12, terminal.screen


@both("exec with environment, directory and user")
def exec_options(_context, way):
    way.run("exec", "-e", "WORD=two words", "-w", "/data", "-u", "1234:5678", world().box(), "sh", "-c",
            "echo $WORD; pwd; id -u; id -g").check(0, b"two words\n/data\n1234\n5678\n")


@both("exec -d: does not wait for it")
def exec_detached(context, way):
    mark = f"/tmp/{way.name()}"
    way.run("exec", "-d", world().box(), "sh", "-c", f"sleep 0.3; echo done >{mark}").check(0, b"")
    until(lambda: way.run("exec", world().box(), "cat", mark).out == b"done\n", 20, "the command's file")


@both("exec of a command that is not there: 127, and why")
def exec_absent(_context, way):
    got = way.run("exec", world().box(), "no-such-command")
    assert got.status == 127 and b"no-such-command" in got.err, got


@both("exec in a container that is not there: the engine's own message")
def exec_nowhere(_context, way):
    got = way.run("exec", "nowhere", "true")
    assert got.status == 1 and b"nowhere" in got.err, got


@both("eight exec -i at once, 1 MB through each: none gets another's bytes")
def exec_parallel(_context, way):
    box, failures = world().box(), []

    def one(i):
        data = blob(1_000_000, seed=i)
        try:
            got = way.run("exec", "-i", box, "sh", "-c", f"cat; exit {i}", stdin=data).check(i, data)
            assert not got.err, got
        except Exception as error:  # pylint: disable=broad-except
            failures.append(f"{i}: {str(error)[:300]}")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures


@both("exec -i: 4 MB from a file to a command that begins to read late")
def exec_slow_container(context, way):
    data = blob(4_000_000)
    with open(context.path("input"), "wb") as f:
        f.write(data)
    with open(context.path("input"), "rb") as f:
        way.run("exec", "-i", world().box(), "sh", "-c", "sleep 1; md5sum", stdin=f).check(
            0, f"{hashlib.md5(data).hexdigest()}  -\n".encode())
    assert os.path.getsize(context.path("input")) == len(data)
