"""docker run and attach: output, input, terminals, exit status. Without -t, output comes as frames over a connection that
has left HTTP ("Upgrade: tcp"); the end of the input is a half-close, after which output still flows."""

import hashlib
import os
import re
import subprocess

from docker_cli import until
from docker_world import IMAGE, both, world

NO_NETWORK = ("--network", "none")


def new(context, way):
    """Options for a container that goes with the test."""
    return (*NO_NETWORK, "--name", world().forget(context, way.name()))


def blob(n_bytes, seed=1):
    """Bytes of every value that repeat nowhere near."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 16)
    return b"".join(i.to_bytes(4, "big") + block[4:] for i in range(n_bytes // len(block) + 1))[:n_bytes]


@both("run without -i and -t: both outputs arrive, each as what it is; status 0")
def run_prints(context, way):
    got = way.run("run", *new(context, way), IMAGE, "sh", "-c", "echo to out; echo to err >&2").check(0, b"to out\n")
    assert got.err == b"to err\n", got


@both("run: the exit status is the container's")
def run_status(context, way):
    way.run("run", *new(context, way), IMAGE, "sh", "-c", "echo before; exit 7").check(7, b"before\n")


@both("run: a slow container's output comes as it is written, and its last words too")
def run_slow(context, way):
    script = "echo one; read line </data/go; echo two; exit 5"
    directory = context.path("data")
    os.mkdir(directory)
    os.mkfifo(os.path.join(directory, "go"))
    live = way.start(context, "run", *new(context, way), "-v", f"{directory}:/data", IMAGE, "sh", "-c", script)
    live.expect(b"one\n")
    assert live.out == b"one\n", live
    with open(os.path.join(directory, "go"), "wb") as f:
        f.write(b"go\n")
    live.end().check(5, b"one\ntwo\n")


@both("run: 3 MB of output, to the byte")
def run_much(context, way):
    expected = b"".join(b"%d\n" % i for i in range(1, 440_001))
    got = way.run("run", *new(context, way), IMAGE, "seq", "1", "440000").check()
    assert got.out == expected, f"{len(got.out)} bytes, not {len(expected)}"


@both("run -i: piped input is echoed to its end")
def run_input(context, way):
    way.run("run", "-i", *new(context, way), IMAGE, "cat", stdin=b"first\nlast, without end of line").check(
        0, b"first\nlast, without end of line")


@both("run -i: the end of the input is seen, and what is said after it arrives")
def run_half_close(context, way):
    script = "cat >/dev/null; echo after the end; sleep 0.5; echo and later; exit 3"
    way.run("run", "-i", *new(context, way), IMAGE, "sh", "-c", script, stdin=b"x" * 100_000).check(
        3, b"after the end\nand later\n")


@both("run -i: 5 MB of input, by number and checksum")
def run_much_input(context, way):
    data = blob(5_000_000)
    way.run("run", "-i", *new(context, way), IMAGE, "sh", "-c", "tee /tmp/in | md5sum; wc -c </tmp/in", stdin=data).check(
        0, f"{hashlib.md5(data).hexdigest()}  -\n5000000\n".encode())


@both("run -t: the container has a terminal, lines end as on one")
def run_terminal(context, way):
    terminal = way.terminal(context, "run", "-t", *new(context, way), IMAGE, "sh", "-c",
                            "test -t 0 && test -t 1 && test -t 2 && echo a terminal; exit 6")
    assert terminal.end() == 6, terminal.screen
    assert terminal.screen == b"a terminal\r\n", terminal.screen


@both("run -it: typed commands are echoed, answered, and end it with their status")
def run_interactive(context, way):
    terminal = way.terminal(context, "run", "-it", *new(context, way), IMAGE, "sh")
    terminal.expect(b" # ")
    terminal.type(b"echo $((6 * 7))\r")
    terminal.expect(b"echo $((6 * 7))\r\n42\r\n")
    terminal.type(b"echo $((40 + 3)); cat\r")
    terminal.expect(b"\r\n43\r\n")
    terminal.type(b"sent line by line\r")
    terminal.expect(b"sent line by line\r\nsent line by line\r\n")
    terminal.type(b"\x04")  # the end of the input, for cat
    terminal.type(b"echo $((40 + 4)); sleep 1000\r")
    terminal.expect(b"\r\n44\r\n")

    # An interrupt is for the program in the container: for sleep, once the shell has started it.
    def is_alive():
        terminal.type(b"\x03")
        terminal.type(b"echo alive\r")
        return b"\r\nalive\r\n" in terminal.screen

    until(is_alive, 20, lambda: f"the prompt on the screen: {terminal.screen!r}", 0.5)
    terminal.type(b"exit 3\r")
    assert terminal.end() == 3, terminal.screen


@both("run -it: the terminal's size is the container's, also after a change")
def run_resize(context, way):
    terminal = way.terminal(context, "run", "-it", *new(context, way), IMAGE, "sh")
    terminal.expect(b" # ")
    terminal.resize(33, 111)

    def is_known():
        terminal.type(b"stty size\r")
        return b"\n33 111\r\n" in terminal.screen

    until(is_known, 20, lambda: f"the size on the screen: {terminal.screen!r}", 0.2)
    terminal.type(b"exit\r")
    assert terminal.end() == 0


@both("run -d: prints the container's number and does not wait")
def run_detached(context, way):
    name = way.name()
    got = way.run("run", "-d", "--network", "none", "--name", world().forget(context, name), IMAGE, "sleep", "1000")
    assert got.status == 0 and re.fullmatch(rb"[0-9a-f]{64}\n", got.out), got
    way.run("inspect", "--format", "{{.State.Status}}", name).check(0, b"running\n")


# ---- attach ----

READER = 'while read line; do echo "got $line"; done; echo the end; exit 4'


def detached(context, way, options, script):
    name = way.name()
    world().direct.run("run", "-d", *options, "--network", "none", "--name", world().forget(context, name), IMAGE, "sh", "-c",
                       script).check()
    return name


@both("attach --no-stdin: output from then on, and the exit status")
def attach_output(context, way):
    name = detached(context, way, ["-i"], "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 8")
    live = way.start(context, "attach", "--no-stdin", name)
    until(lambda: live.out.count(b"\n") >= 5, 20, lambda: f"five lines from {live}")
    # The container may be gone before podman has asked how this ended.
    world().direct.run("exec", name, "touch", "/stop")
    got = live.end().check(8)
    numbers = [int(line) for line in got.out.split()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), got


@both("attach with input: each line is answered before the next; its end is the container's")
def attach_input(context, way):
    name = detached(context, way, ["-i"], READER)
    live = way.start(context, "attach", name, stdin=subprocess.PIPE)
    # Podman answers before it carries anything: what is typed until then is not lost.
    for i in range(20):
        live.send(b"line %d\n" % i)
        live.expect(b"got line %d\n" % i)
    live.process.stdin.close()
    live.end().check(4, b"".join(b"got line %d\n" % i for i in range(20)) + b"the end\n")


@both("attach in a terminal: the detach keys leave the container running, to be attached to again")
def attach_detach(context, way):
    name = detached(context, way, ["-it"], "while read line; do echo got $line; done")
    for word in (b"one", b"two"):
        terminal = way.terminal(context, "attach", "--detach-keys", "ctrl-p,ctrl-q", name)
        terminal.type(word + b"\r")
        terminal.expect(b"got " + word)
        terminal.type(b"\x10\x11")
        terminal.end()
        assert b"read escape sequence" in terminal.screen, terminal.screen
        way.run("inspect", "--format", "{{.State.Running}}", name).check(0, b"true\n")


@both("run with a client's Ctrl-C: the container gets the signal")
def run_signal(context, way):
    name = way.name()
    live = way.start(context, "run", "--network", "none", "--name", world().forget(context, name), IMAGE, "sh", "-c",
                     'trap "echo interrupted; exit 9" INT; echo ready; while :; do sleep 0.05; done')
    live.expect(b"ready\n")
    live.process.send_signal(2)
    live.end().check(9, b"ready\ninterrupted\n")
