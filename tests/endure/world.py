"""What the stories happen in: a directory with listeners and with things that are none of porthole's business, an application
behind them, clients that never rest, somebody who looks at the paths, and portholes that come and go."""

import hashlib
import json
import os
import random
import re
import shlex
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import peers  # noqa: E402  needs the path above
import wire  # noqa: E402
from porthole import PROGRAM, Background, is_sanitized  # noqa: E402

LONG = os.environ.get("ENDURE") == "long"
UNDER = shlex.split(os.environ.get("ENDURE_UNDER", ""))  # in front of the program: valgrind and its options
SANITIZED = is_sanitized()
SLOW = 20 if UNDER else 5 if SANITIZED else 1  # how much longer than a second a second is
PYTHON = "/usr/bin/python3"
ALL_KINDS = ("path", "stream", "tcp", "abstract")
DRAIN_S = 15


def n_times(short, long):
    """How often something happens: in `make check`, and in `make endure`."""
    return long if LONG else short


class Helper(Background):
    """A program beside this file that prints a line when it is ready, and JSON when it is told to end."""

    def __init__(self, context, script, *arguments):
        super().__init__(context, [PYTHON, "-u", "-B", os.path.join(HERE, script), *map(str, arguments)], script.partition(".")[0])

    def await_line(self, line):
        peers.until(lambda: line in self.output() or self.process.poll() is not None, 20, line)
        assert self.process.poll() is None, self.output()
        return self

    def end(self, seconds=60):
        status = self.terminate(seconds)
        lines = self.output().splitlines()
        assert status == 0 and lines, f"status {status}: {self.output()}"
        return json.loads(lines[-1])


class Foreign:
    """What lies in the listeners' directory and is not porthole's; it must stay as it is, whatever it is called."""

    def __init__(self, context, directory):
        self.directory, self.before = directory, {}
        self.make_files()
        self.living = peers.listen(f"unix:{directory}/living.sock")
        self.other = peers.listen(f"unix:{directory}/.porthole-aaaaaaaa.sock")
        peers.listen(f"unix:{directory}/dead.sock").close()
        context.callback(self.living.close)
        context.callback(self.other.close)
        self.before = self.look()

    def make_files(self):
        for name in ("file", "app.sock.old", ".porthole-abcdefgh", ".app.sock.tmp"):
            with open(os.path.join(self.directory, name), "w", encoding="ascii") as f:
                f.write(name)
        for name in ("directory", ".porthole-bbbbbbbb"):
            os.mkdir(os.path.join(self.directory, name), 0o700)
            with open(os.path.join(self.directory, name, "file"), "w", encoding="ascii") as f:
                f.write(name)
        os.symlink("file", os.path.join(self.directory, "link"))

    def look(self):
        """All that a stat tells but when it was read, of every name but the listeners'."""
        found = {}
        for top, directories, files in os.walk(self.directory):
            for name in directories + files:
                path = os.path.join(top, name)
                if not self.before or path in self.before:
                    st = os.lstat(path)
                    found[path] = (tuple(st)[:7], st.st_mtime_ns, st.st_ctime_ns)
        return found

    def check(self):
        after = self.look()
        assert after == self.before, f"not as it was: {set(self.before.items()) ^ set(after.items())}"

    def n_more(self, listeners):
        """Entries that are neither foreign nor a listener's path: what is left of something."""
        names = {os.path.basename(path) for path in self.before if os.path.dirname(path) == self.directory}
        return len([name for name in os.listdir(self.directory) if name not in names and name not in listeners])


class Running(Background):
    """One porthole on the world's configuration. Its number is what its /generation answers."""

    def __init__(self, world, *arguments, environment=None):
        self.world, self.number = world, world.n_started
        world.n_started += 1
        self.begun = time.monotonic()
        super().__init__(world.context, [*UNDER, PROGRAM, "run", "-c", world.configuration, *arguments], f"porthole{self.number}",
                         env={**os.environ, "GENERATION": f"g{self.number}", **(environment or {})})

    def says(self):
        """Which porthole, or which configuration, serves the path now; None when it cannot be asked."""
        try:
            return wire.exchange(self.world.path, "GET", "/generation", "Connection: close", timeout=20).body.decode()
        except (OSError, EOFError):
            return None

    def await_ready(self, seconds=20):
        """Its answer is at the path; returns the seconds since it was started."""
        end = time.monotonic() + seconds
        while self.says() != f"g{self.number}":
            assert self.process.poll() is None, f"it has ended with {self.process.returncode}: {self.output()[-3000:]}"
            assert time.monotonic() < end, f"it does not serve: {self.output()[-3000:]}"
            time.sleep(0.002)
        return time.monotonic() - self.begun

    def await_end(self, seconds=DRAIN_S + 10):
        status = self.process.wait(seconds)
        assert status == 0, f"exit status {status}: {self.output()[-3000:]}"

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def log_of(self, word):
        return [line for line in self.output().splitlines() if word in line]


class World:
    def __init__(self, context, kinds=ALL_KINDS, workers=4, modes="0660"):
        self.context, self.kinds, self.workers, self.modes = context, kinds, workers, modes
        self.rng = random.Random(int(os.environ.get("ENDURE_SEED") or 1))
        self.n_started = 0
        self.directory = context.path("run")
        os.mkdir(self.directory, 0o755)
        self.foreign = Foreign(context, self.directory)
        self.path = f"unix:{self.directory}/app.sock"
        self.addresses = {"path": self.path, "stream": f"unix:{self.directory}/stream.sock",
                          "tcp": f"tcp:127.0.0.1:{peers.free_port()}", "abstract": f"unix:@{os.path.basename(context.dir)}"}
        self.targets = {name: [context.path(f"{name}.sock"), context.path(f"{name}-stream.sock")] for name in ("a", "b")}
        for name, sockets in self.targets.items():
            Background(context, [PYTHON, "-u", "-B", os.path.join(HERE, "target.py"), name, *sockets], f"target-{name}")
        peers.until(lambda: all(os.path.exists(path) for sockets in self.targets.values() for path in sockets), 20, "the targets")
        self.configuration = context.path("porthole.json")
        self.crew = self.watcher = None
        self.write(self.document())

    # ---- configuration ----

    def document(self, generation="${GENERATION}", mode="0660", target="a", **listener):
        """Its listener at the path is the last one, so that all others are there when it is."""
        http = {"routes": [{"match": {"path": "/generation"}, "respond": {"status": 200, "body": generation}},
                           {"match": {"path_prefix": "/changing"}, "target": "changing"}, {"target": "app"}], **listener}
        own = {"path": {"mode": mode, **http}, "tcp": http, "abstract": {"peers": {"allow": [{"uid": os.geteuid()}]}, **http},
               "stream": {"stream": {"target": "stream"}}}
        kinds = sorted(self.kinds, key=lambda kind: kind == "path")
        targets = {"app": {"endpoints": [f"unix:{self.targets['a'][0]}"]}, "stream": {"endpoints": [f"unix:{self.targets['a'][1]}"]},
                   "changing": {"endpoints": [f"unix:{self.targets[target][0]}"]}}
        # valgrind makes calls of its own.
        sandbox = {"sandbox": {"landlock": False, "seccomp": False}} if UNDER else {}
        return {**sandbox, "workers": self.workers, "drain": f"{DRAIN_S}s", "targets": targets,
                "listeners": [{"name": kind, "bind": self.addresses[kind], **own[kind]} for kind in kinds]}

    def write(self, document, path=None):
        path = path or self.configuration
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(document, f, indent=1)
        os.rename(path + ".new", path)

    def digest(self):
        """Of the configuration, as the log tells it."""
        with open(self.configuration, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def clear(self):
        """What a porthole that went wrong has left."""
        for kind in self.kinds:
            path = self.addresses[kind].partition(":")[2]
            if os.path.lexists(path) and not path.startswith("@"):
                os.unlink(path)

    # ---- who is there ----

    def start(self, *arguments, **options):
        return Running(self, *arguments, **options)

    def send_crew(self, tunnels=0):
        """Clients begin to work; the tunnels of each last so many seconds (0: as long as the clients)."""
        plan = {"http": [self.addresses[kind] for kind in self.kinds if kind != "stream"],
                "streams": [self.addresses[kind] for kind in self.kinds if kind == "stream"], "tunnels": tunnels}
        self.crew = Helper(self.context, "clients.py", json.dumps(plan)).await_line("at work")

    def watch(self, pause_us=50):
        paths = [self.addresses[kind].partition(":")[2] for kind in self.kinds if kind in ("path", "stream")]
        self.watcher = Helper(self.context, "watcher.py", pause_us, self.modes, *paths).await_line("looking")

    # ---- judging ----

    def settle(self, running, seconds=10):
        """Until it has had as many descriptors for a while: idle connections have gone, and what is thrown away later."""
        end, last, since = time.monotonic() + seconds, None, time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.4:
            now = running.n_fds()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.02)

    def see_watcher_out(self):
        seen = self.watcher.end()
        self.context.note(f"the paths were looked at {seen['looks']} times")
        assert not seen["wrong"], seen["wrong"]
        assert seen["looks"] > 100

    def see_crew_out(self, may_lose=False, kinds=("keep", "probe", "upload", "tunnel", "reader")):
        """Nobody lost anything, unless they may; nobody ever got what is not theirs; all have worked."""
        report = self.crew.end()
        self.context.note(f"done: {report['done']}")
        self.context.note(f"not failures, but: {report['again']}; failures: {report['n_failures']}")
        bad = [f for f in report["failures"] if not may_lose or f["kind"] == "wrong"]
        assert not bad, f"{len(bad)} failures: " + "\n".join(map(str, bad[:12]))
        idle = [kind for kind in kinds if not report["done"].get(kind)]
        assert not idle, f"nothing was done by {idle}: {report['done']}"
        return report

    def check_directory(self, most_more=0, seconds=0):
        """`seconds`: for who is still at work in it."""
        self.foreign.check()
        names = [os.path.basename(address) for address in self.addresses.values()]
        end = time.monotonic() + seconds
        while (n_more := self.foreign.n_more(names)) > most_more:
            assert time.monotonic() < end, f"{n_more} leftovers: {os.listdir(self.directory)}"
            time.sleep(0.02)


def mode_of(path):
    return os.lstat(path.partition(":")[2]).st_mode & 0o7777


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def kill(process):
    """As the kernel does when memory is short."""
    os.kill(process.pid, signal.SIGKILL)
    process.process.wait(10)


def answers(address):
    """Whether somebody accepts there."""
    try:
        wire.connect(address, 5).close()
        return True
    except (OSError, socket.timeout):
        return False


def await_that(condition, seconds):
    """Whether it comes true in time."""
    try:
        return peers.until(condition, seconds)
    except AssertionError:
        return None
