"""The program under test: started on a configuration, watched from outside, stopped by its process id."""

import glob
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import peers
import tap
import wire

PROGRAM = os.environ["PORTHOLE"]


def is_sanitized():
    """Whether the program is a build whose memory says nothing about porthole's."""
    with open(PROGRAM, "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def need_plain_build():
    if is_sanitized():
        raise tap.Skip("a sanitizer's memory is not porthole's")


def need_root():
    if os.geteuid() != 0:
        raise tap.Skip("needs root, to become other users")


def need_program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise tap.Skip(f"there is no {name} here")
    return path


class Background:
    """A process that ends with its test."""

    def __init__(self, context, arguments, name, **options):
        self.log = context.path(f"{name}.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.pid = self.process.pid
        context.callback(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def terminate(self, seconds=10):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()


class Porthole(Background):
    """`routes` maps path prefixes ("/": everything) to endpoints or target objects; a listener on app.sock is made of
    it, which `listener` adds keys to. `listeners`, when given, replaces that."""

    def __init__(self, context, routes=None, listener=None, listeners=None, name="porthole", arguments=(), user=None, **top):
        self.context, self.address = context, f"unix:{context.path('app.sock')}"
        targets = {}
        if listeners is None:
            listeners = [{"bind": self.address, "routes": self._routes(routes, targets), **(listener or {})}]
        self.access_path = context.path(f"{name}.access")
        document = {"log": {"level": "info", "access": {"format": "json", "to": self.access_path}}, **top}
        document["listeners"] = listeners
        if targets:
            document["targets"] = {**targets, **top.get("targets", {})}
        self.configuration = context.path(f"{name}.json")
        with open(self.configuration, "w", encoding="utf-8") as f:
            json.dump(document, f, indent=1)
        before = self._published(listeners)
        program, options = PROGRAM, {}
        if user is not None:
            program = context.path("program")  # the build may lie where that user cannot go
            shutil.copy(PROGRAM, program)
            options = {"user": user, "group": user, "extra_groups": []}
        super().__init__(context, [program, "run", "-c", self.configuration, *arguments], name, **options)
        peers.Watch.programs.add(self.pid)
        self._await_ready(listeners, before)

    @staticmethod
    def _routes(routes, targets):
        made = []
        for prefix, target in routes.items():
            if isinstance(target, dict) and "endpoints" in target:
                name = f"t{len(targets)}"
                targets[name], target = target, name
            route = {"target": target} if isinstance(target, str) else dict(target)
            if prefix != "/":
                route["match"] = {"path_prefix": prefix}
            made.append(route)
        return made

    @staticmethod
    def _published(listeners):
        found = {}
        for listener in listeners:
            path = listener["bind"].partition(":")[2]
            if path.startswith("/") and os.path.exists(path):
                found[path] = os.stat(path).st_ino
        return found

    @staticmethod
    def _try(listener):
        """OSError while nobody listens. A stream's target would see our connection, so the kernel's tables are asked."""
        kind, _, rest = listener["bind"].partition(":")
        if "stream" not in listener:
            wire.connect(listener["bind"]).close()
        elif kind == "tcp":
            port = f":{int(rest.rpartition(':')[2]):04X} "
            with open("/proc/net/tcp", encoding="ascii") as f:
                if not any(port in line[:22] and line.split()[3] == "0A" for line in f):
                    raise ConnectionRefusedError(rest)
        elif rest.startswith("@"):
            with open("/proc/net/unix", encoding="utf-8") as f:
                if not any(line.rstrip().endswith(" " + rest) and line.split()[3] == "00010000" for line in f):
                    raise ConnectionRefusedError(rest)
        else:
            os.stat(rest)  # the path is there once it is served

    def _await_ready(self, listeners, before):
        end = time.monotonic() + 10
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"porthole ended: {self.output()}")
            after = self._published(listeners)
            if all(not before or after.get(path) != inode for path, inode in before.items()):
                try:
                    for listener in listeners:
                        self._try(listener)
                    break
                except OSError:
                    pass
            if time.monotonic() > end:
                raise AssertionError(f"porthole does not start: {self.output()}")
            time.sleep(0.01)
        self.base_fds = None

    # ---- from outside ----

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)

    def check_all_forwarded(self):
        bad = [entry for entry in self.entries() if entry["outcome"] != "forwarded"]
        assert not bad, f"{len(bad)} of {len(self.entries())} not forwarded: {bad[:3]}"

    def fd_names(self):
        names = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                names.append(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
            except OSError:
                pass
        return names

    def n_fds_without_pipes(self):
        """Tunnels keep a few empty pipes for those that come: a bounded number, which is asserted here."""
        names = self.fd_names()
        n_pipes = sum(name.startswith("pipe:") for name in names)
        assert n_pipes <= 64, f"{n_pipes} pipes are open"
        return len(names) - n_pipes

    def _is_at_rest(self):
        """Every thread waits for something."""
        states = []
        for path in glob.glob(f"/proc/{self.pid}/task/*/stat"):
            try:
                with open(path, encoding="ascii") as f:
                    states.append(f.read().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                return False  # a thread has just ended
        return set(states) == {"S"}

    def remember_fds(self):
        """Call it while nobody is connected. What a start opens after the first watch is there when all threads rest."""
        peers.until(lambda: "anon_inode:inotify" in self.fd_names(), 20, "the watch on the sockets")
        for _ in range(3):
            peers.until(self._is_at_rest, 20, "rest")
            time.sleep(0.03)
        self.base_fds = self.n_fds_without_pipes()

    def check_fds(self, seconds=5):
        """Nothing is left open that was not open before. Idle connections to targets count, so their idle_timeout
        must be short."""
        try:
            peers.until(lambda: self.n_fds_without_pipes() <= self.base_fds, seconds)
        except AssertionError:
            raise AssertionError(f"{self.n_fds_without_pipes()} descriptors, not {self.base_fds}: {self.fd_names()}") from None

    def entries(self, request=None):
        """The access log's, all or those of a request-target."""
        try:
            with open(self.access_path, encoding="utf-8") as f:
                lines = f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        entries = [json.loads(line) for line in lines]
        return [e for e in entries if request is None or e["request"] == request]

    def await_entries(self, request, n, seconds=5):
        peers.until(lambda: len(self.entries(request)) >= n, seconds, f"{n} lines about {request} in the access log")
        found = self.entries(request)
        assert len(found) == n, f"{len(found)} lines about {request}, not {n}"
        return found

    def check_outcomes(self, request, n, outcomes, seconds=5):
        """Exactly n exchanges, all with one of the outcomes."""
        seen = {}
        for entry in self.await_entries(request, n, seconds):
            seen[entry["outcome"]] = seen.get(entry["outcome"], 0) + 1
        allowed = {outcomes} if isinstance(outcomes, str) else set(outcomes)
        assert set(seen) <= allowed, f"outcomes of {request}: {seen}, expected {allowed}"
        return seen

    def stop(self, seconds=10):
        status = self.terminate(seconds)
        assert status == 0, f"exit status {status}: {self.output()}"


class Memory:
    """Samples a process's resident memory while something happens."""

    def __init__(self, process, most_growth_kib=2048):
        self.process, self.most = process, most_growth_kib
        self.ended = threading.Event()

    def __enter__(self):
        self.before = self.highest = self.process.rss_kib()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def _sample(self):
        while not self.ended.wait(0.01):
            try:
                self.highest = max(self.highest, self.process.rss_kib())
            except (OSError, IndexError):
                return

    def __exit__(self, kind, *_):
        self.ended.set()
        self.thread.join()
        if kind is None:
            after = self.process.rss_kib()
            self.process.context.note(f"resident: {self.before} KiB before, {self.highest} at most, {after} after")
            assert self.highest - self.before < self.most or is_sanitized(), f"memory grew from {self.before} to {self.highest} KiB"
