"""What is refused, who leaves in the middle, and porthole's own end. These have no counterpart without porthole."""

import os
import signal
import socket
import subprocess
import threading
import time

import tap
from docker_1_run_tests import detached
from docker_cli import until
from docker_world import IMAGE, REFUSAL, world


@tap.test("a socket that allows GET and HEAD: questions are answered", 240)
def cut_down_reads(_context):
    box, reading = world().box(), world().reading
    expected = world().direct.run("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").check().out
    assert b" box\n" in expected, expected
    reading.run("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").check(0, expected)
    for arguments in (["version"], ["images"], ["inspect", box], ["top", box], ["cp", f"{box}:/bin/busybox", "-"]):
        reading.run(*arguments).check()


@tap.test("a socket that allows GET and HEAD: the rest is refused with its words, and podman never hears of it", 240)
def cut_down_refuses(context):
    box, reading, direct = world().box(), world().reading, world().direct
    name = world().forget(context, reading.name())
    before = direct.run("ps", "--all", "--no-trunc").check().out.count(b"\n")
    empty = context.path("context")
    os.mkdir(empty)
    with open(os.path.join(empty, "Dockerfile"), "w", encoding="ascii") as f:
        f.write(f"FROM {IMAGE}\n")
    for arguments in (["run", "--network", "none", "--name", name, IMAGE, "true"], ["exec", box, "true"],
                      ["exec", "-i", box, "true"], ["attach", box], ["pull", "somebody/something:1"], ["kill", box],
                      ["rm", "--force", box], ["rmi", IMAGE], ["build", empty], ["load"], ["volume", "create", name],
                      ["cp", os.path.join(empty, "Dockerfile"), f"{box}:/tmp/refused"]):
        got = reading.run(*arguments, stdin=b"some input\n" * 10_000)
        # Where the client asks for an upgrade first it tells the status only.
        told = "received 403" if arguments[0] == "attach" else REFUSAL
        assert got.status != 0 and told in got.err.decode(), got
    assert direct.run("ps", "--all", "--no-trunc").check().out.count(b"\n") == before
    direct.run("inspect", "--format", "{{.State.Running}}", box).check(0, b"true\n")
    assert direct.run("exec", box, "ls", "/tmp/refused").status == 1


@tap.test("engine errors in place of an upgrade: the same as directly", 240)
def upgrade_refused(_context):
    for arguments in (["run", "--network", "none", "--name", "never", IMAGE, "no-such-command"],
                      ["attach", "nowhere"], ["exec", "-it", "nowhere", "sh"]):
        results = []
        for way in world().ways():
            results.append(way.run(*arguments))
            world().direct.run("rm", "--force", "never")
        direct, through = results
        assert direct.status != 0 and (direct.status, direct.out) == (through.status, through.out), (str(direct), str(through))
        assert without_numbers(direct.err) == without_numbers(through.err), (str(direct), str(through))


def without_numbers(text):
    """Containers' and execs' numbers differ from one to the next."""
    return [word for word in text.split() if len(word.strip(b'":,')) < 60]


# ---- clients that leave ----

TICKING = "while [ ! -e /stop ]; do echo tick; sleep 0.1; done; echo the last; exit 5"
SILENT = "echo tick; sleep 1000"


class Open:
    """What is open while nobody is connected: porthole's descriptors, and what podman has accepted."""

    def __init__(self):
        self.porthole = world().porthole
        until(self._is_idle, 20, "porthole is idle")
        self.n_fds, self.n_connections = self.porthole.n_fds_without_pipes(), world().n_podman_connections()

    def _is_idle(self):
        n = self.porthole.n_fds_without_pipes()
        time.sleep(1.2)  # longer than the idle_timeout of connections to podman
        return self.porthole.n_fds_without_pipes() == n

    def check_more(self):
        n = self.porthole.n_fds_without_pipes()
        assert n >= self.n_fds + 2, f"{n} descriptors while a client is connected, {self.n_fds} before"

    def check_returned(self, and_podman=True, between=lambda: None):
        """Podman sees that whoever was connected has left only when it writes to them: of a silent command it keeps the
        connection, with or without porthole, whose own descriptors must return all the same. Then it waits five seconds
        for the command's status, and for the kernel to take back a watch on files, which takes longer the more there is
        to do on the machine; `between` is called when it has been left and before that."""
        begin = time.monotonic()
        count = self.porthole.n_fds_without_pipes
        until(lambda: count() <= self.n_fds, 20,
              lambda: f"{count()} descriptors back to {self.n_fds}: {self.porthole.fd_names()}")
        between()
        until(lambda: not and_podman or world().n_podman_connections() <= self.n_connections, 60,
              lambda: f"{world().n_podman_connections()} connections to podman back to {self.n_connections}")
        return time.monotonic() - begin


def stop_flow():
    """The command has nobody who reads, but podman lets it run on, and it would take the processors that podman and the
    kernel need to be done. It does not end, of which podman would learn in another way."""
    world().direct.run("exec", world().box(), "killall", "-STOP", "yes").check()


def killed(name, arguments, and_podman=True, between=lambda: None):
    """A test of what is left of a client that is killed while it runs a command."""

    @tap.test(f"{name}, its client killed in the middle: nothing stays open", 240)
    def check(context):
        through = world().through
        box, mine = world().box(), world().forget(context, through.name())
        context.callback(world().direct.run, "exec", box, "killall", "-KILL", "yes")  # podman lets it run on
        before = Open()
        live = through.start(context, *(word.format(box=box, mine=mine) for word in arguments), stdin=subprocess.PIPE)
        live.expect(b"tick\n")
        before.check_more()
        live.kill()
        context.note(f"all returned after {before.check_returned(and_podman, between):.2f} s")


RUN = ("--network", "none", "--name", "{mine}", IMAGE, "sh", "-c")
killed("run that prints", ["run", *RUN, TICKING])
killed("run that is silent", ["run", *RUN, SILENT], and_podman=False)
killed("run -i", ["run", "-i", *RUN, SILENT], and_podman=False)
killed("exec that prints", ["exec", "{box}", "sh", "-c", TICKING])
killed("exec that is silent", ["exec", "{box}", "sh", "-c", SILENT], and_podman=False)
killed("exec -i that is silent", ["exec", "-i", "{box}", "sh", "-c", SILENT], and_podman=False)
killed("exec -i that prints", ["exec", "-i", "{box}", "sh", "-c", TICKING])
killed("exec in full flow", ["exec", "{box}", "sh", "-c", "echo tick; yes"], between=stop_flow)


@tap.test("attach and logs -f, their clients killed: nothing stays open, and the container lives", 240)
def killed_watchers(context):
    through = world().through
    name = detached(context, through, ["-i"], TICKING)
    for arguments in (["attach", name], ["logs", "-f", name]):
        before = Open()
        live = through.start(context, *arguments, stdin=subprocess.PIPE)
        live.expect(b"tick\n")
        before.check_more()
        live.kill()
        context.note(f"{arguments[0]}: all returned after {before.check_returned():.2f} s")
    world().direct.run("inspect", "--format", "{{.State.Running}}", name).check(0, b"true\n")


@tap.test("a terminal that is closed: nothing stays open", 240)
def killed_terminal(context):
    before = Open()
    terminal = world().through.terminal(context, "exec", "-it", world().box(), "sh")
    terminal.expect(b" # ")
    before.check_more()
    os.kill(terminal.pid, signal.SIGKILL)
    before.check_returned(and_podman=False)


@tap.test("the container is removed under a client: it ends, nothing stays open", 240)
def removed_container(context):
    before = Open()
    name = detached(context, world().through, ["-i"], TICKING)
    live = world().through.start(context, "exec", "-i", name, "sh", "-c", "echo tick; cat", stdin=subprocess.PIPE)
    live.expect(b"tick\n")
    world().direct.run("rm", "--force", name).check()
    assert live.end().status != 0, live
    before.check_returned()


# ---- porthole's end ----

def draining(context, drain, script):
    """Another porthole, stopped while a client is attached to a container that runs the script."""
    porthole = world().start_porthole("draining", context=context, drain=drain)
    client = world().through.at(world().path("draining.sock"))
    name = detached(context, client, ["-i"], script)
    live = client.start(context, "attach", "--no-stdin", name)
    live.expect(b"tick\n")
    begin = time.monotonic()
    porthole.process.send_signal(signal.SIGTERM)
    until(lambda: not can_connect(world().path("draining.sock")), 10, "the listener closes")
    return porthole, name, live, begin


def can_connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


@tap.test("SIGTERM while a client is attached: the tunnel lives until the drain's deadline, then porthole ends", 240)
def drain_deadline(context):
    porthole, _name, live, begin = draining(context, "4s", TICKING)
    ended = []
    watch = threading.Thread(target=lambda: ended.append((porthole.process.wait(30), time.monotonic())), daemon=True)
    watch.start()
    while time.monotonic() < begin + 3 and not ended:
        n = len(live.out)
        until(lambda: len(live.out) > n or ended, 20, lambda: f"more output while porthole drains: {live}")  # noqa: B023
    assert not ended or ended[0][1] - begin > 3.9, f"porthole ended {ended[0][1] - begin:.2f} s after SIGTERM: {porthole.output()}"
    watch.join(20)
    assert ended, "porthole stays beyond the deadline of its drain"
    context.note(f"ended {ended[0][1] - begin:.2f} s after SIGTERM, with status {ended[0][0]}")
    assert 3.9 < ended[0][1] - begin < 12 and ended[0][0] == 0, porthole.output()
    assert live.end(20).status != 0, live


@tap.test("SIGTERM while a client is attached: porthole ends with the last tunnel, well before the deadline", 240)
def drain_early(context):
    porthole, name, live, _begin = draining(context, "60s", TICKING)
    n = len(live.out)
    until(lambda: len(live.out) > n + 10, 10, lambda: f"more output while porthole drains: {live}")
    assert porthole.process.poll() is None, porthole.output()
    # The container may be gone before podman has asked how this ended.
    world().direct.run("exec", name, "touch", "/stop")
    got = live.end(20)
    assert got.out.endswith(b"tick\nthe last\n"), got
    assert porthole.process.wait(15) == 0, porthole.output()
