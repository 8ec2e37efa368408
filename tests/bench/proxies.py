"""The proxies that are compared: how each is configured, started, verified and ended."""

import ctypes
import glob
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
import zlib

import procs

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# What Debian's configurations can do: no more than 768 connections of nginx, both sides counted, and no body above 1 MiB up.
DEBIAN_CAN = ("small1", "small32", "rate2k", "rate8k", "connect32", "h2load32", "down1k", "down64k", "down1m", "down100m", "up1k",
              "up64k", "idle", "ready")
NEWEST = os.environ.get("BENCH_NEWEST", "/var/lib/porthole-bench/testing")
PATTERN = bytes(range(251)) * 8192
BIG = 100 * 1024 * 1024


LIBC = ctypes.CDLL(None)


class BenchError(Exception):
    """Something that makes figures worthless; ends the run."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def get(self, target):
        self.request("GET", target)
        response = self.getresponse()
        body = response.read()
        if response.status != 200:
            raise BenchError(f"{self.path}: GET {target}: {response.status} {body[:200]!r}")
        return body


def _take_precedence():
    """Puts this process before whatever else the machine does, where that is allowed. With autogroups a nice value
    counts within the session only, so the session needs one too."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        with open("/proc/self/autogroup", "w") as f:
            f.write("-20")
    except OSError:
        pass


class Processes:
    """Everything that was started; ended by stop(), whatever happens."""

    def __init__(self, log):
        self.log = open(log, "wb")
        self.running = []

    def start(self, command, cpu, **options):
        def prepare():
            LIBC.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: not even our own crash leaves it behind
            os.sched_setaffinity(0, cpu if isinstance(cpu, set) else {cpu})
            _take_precedence()
        options.setdefault("stdout", self.log)
        process = subprocess.Popen(command, stderr=self.log, preexec_fn=prepare, start_new_session=True, **options)
        self.running.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                for pid in procs.family(process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.wait()
        self.running.remove(process)

    def stop_all(self):
        for process in list(self.running):
            self.stop(process)


class Proxy:
    """One contestant. Holds no process of its own between start() and stop()."""

    def __init__(self, name, template, command, version, environment=None, only_cases=None, plain=False):
        self.name, self.template, self.command = name, template, command
        self.plain = plain  # not configured for large uploads, nor to keep its connections to the backend
        self.version_command, self.environment = version, environment or {}
        self.only_cases = only_cases  # None: all
        self.process = self.pids = self.socket = None

    def available(self):
        return shutil.which(self.command[0]) is not None

    def version(self):
        text = subprocess.run(self.version_command, capture_output=True, text=True, timeout=10)
        lines = (text.stdout + text.stderr).strip().splitlines()
        return lines[0].strip() if lines else "?"

    def configure(self, directory, backend):
        """Writes the configuration into the run's directory; the same for every start."""
        self.socket = os.path.join(directory, self.name + ".sock")
        self.config = os.path.join(directory, self.name + os.path.splitext(self.template)[1])
        own = os.path.join(directory, self.name)
        os.makedirs(own, exist_ok=True)
        text = self.text(own)
        for key, value in {"@SOCKET@": self.socket, "@BACKEND@": backend, "@DIR@": own}.items():
            text = text.replace(key, value)
        with open(self.config, "w") as f:
            f.write(text)
        program = self.command[0]
        # A build of ours: one that is replaced during the run must not mix with it.
        if os.path.isabs(program) and not program.startswith(NEWEST):
            program = shutil.copy(program, own)
        self.argv = [program] + [part.replace("@CONFIG@", self.config).replace("@DIR@", own)
                                 for part in self.command[1:]]
        self.env = dict(os.environ, HOME=own, XDG_DATA_HOME=own, XDG_CONFIG_HOME=own, **self.environment)

    def text(self, _own):
        """The configuration, in which the run's paths are yet to be filled in. `_own` is a directory of its own."""
        with open(os.path.join(HERE, "peers", self.template)) as f:
            return f.read()

    def is_ready(self):
        """Makes a request; OSError or HTTPException while it cannot be served."""
        UnixConnection(self.socket).get("/bytes/100")

    def clear(self):
        """A socket left over by an earlier process would keep nginx from starting."""
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def start(self, processes, cpu):
        self.clear()
        self.process = processes.start(self.argv, cpu, env=self.env, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.is_ready()
                break
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise BenchError(f"{self.name} does not serve: {error}") from error
                time.sleep(0.005)
        self.pids = procs.family(self.process.pid)

    def stop(self, processes):
        if self.process:
            processes.stop(self.process)
        self.process = self.pids = None


def stats(backend):
    return json.loads(UnixConnection(backend).get("/stats"))


def _verify_download(connection, name, length):
    connection.request("GET", f"/bytes/{length}")
    response = connection.getresponse()
    if response.status != 200 or response.getheader("Content-Length") != str(length):
        raise BenchError(f"{name}: {length} bytes: status {response.status}, {response.getheaders()}")
    offset = 0
    while chunk := response.read(1 << 20):
        start = offset % 251
        if chunk != PATTERN[start:start + len(chunk)]:
            raise BenchError(f"{name}: {length} bytes: a wrong byte after {offset}")
        offset += len(chunk)
    if offset != length:
        raise BenchError(f"{name}: {length} bytes: only {offset} came")


def _verify_upload(connection, name, length):
    body = PATTERN * (length // len(PATTERN) + 1)
    body = memoryview(body)[:length]
    connection.request("POST", "/crc", body=body, headers={"Content-Length": str(length)})
    response = connection.getresponse()
    answer = response.read().decode()
    if response.status != 200 or answer != f"{length} {zlib.crc32(body):08x}":
        raise BenchError(f"{name}: upload of {length} bytes: {response.status} {answer!r}")


def verify(proxy, backend, largest):
    """Bodies of all sizes both ways, byte for byte, on one connection; and keep-alive towards the backend."""
    connection = UnixConnection(proxy.socket)
    largest = min(largest, 1_000_000) if proxy.plain else largest
    for length in (0, 100, 1024, 65536, largest):
        _verify_download(connection, proxy.name, length)
        _verify_upload(connection, proxy.name, length)
    before = stats(backend)["accepted"]
    for _ in range(200):
        connection.get("/bytes/100")
    opened = stats(backend)["accepted"] - before - 1  # the second stats() is a connection too
    if opened > 2 and not proxy.plain:
        raise BenchError(f"{proxy.name}: {opened} connections to the backend for 200 requests: no keep-alive")
    connection.close()


def _program(name, root):
    """What a program is started with: from another root by that one's loader and libraries."""
    if not root:
        return [name]
    found = [path for path in (f"{root}/usr/sbin/{name}", f"{root}/usr/bin/{name}") if os.path.exists(path)]
    libraries = f"{root}/usr/lib/{os.uname().machine}-linux-gnu"
    loaders = sorted(glob.glob(f"{root}/usr/lib*/ld-linux-*.so.*") + glob.glob(f"{libraries}/ld-linux-*.so.*"))
    return [loaders[0] if found and loaders else f"{root}/missing", "--library-path", libraries, *(found or [name])]


def _peers(suffix, root):
    """nginx, HAProxy and Caddy: tuned by their documents, and as Debian has them."""
    nginx, haproxy, caddy = (_program(name, root) for name in ("nginx", "haproxy", "caddy"))
    tuned, plain = {}, {"only_cases": DEBIAN_CAN, "plain": True}
    made = []
    for kind, options in (("", tuned), ("-debian", plain)):
        made += [Proxy(f"nginx{suffix}{kind}", f"nginx{kind}.conf",
                       [*nginx, "-e", "@DIR@/error.log", "-p", "@DIR@", "-c", "@CONFIG@"], [*nginx, "-v"], **options),
                 Proxy(f"haproxy{suffix}{kind}", f"haproxy{kind}.cfg", [*haproxy, "-db", "-f", "@CONFIG@"], [*haproxy, "-v"],
                       **options),
                 Proxy(f"caddy{suffix}{kind}", "caddy-debian.caddyfile" if kind else "caddy.json",
                       [*caddy, "run", "--config", "@CONFIG@", *(["--adapter", "caddyfile"] if kind else [])],
                       [*caddy, "version"], {"GOMAXPROCS": "1"}, **options)]
    # What matters of the newest is what it can do at its best.
    return [proxy for proxy in made if not (root and proxy.plain)]


def contestants(extra_binaries, extra_configs):
    """All that can take part, by name. `extra_binaries`: more builds of porthole, name -> path. `extra_configs`: other
    configurations of any of them, name -> PROXY:FILE."""
    portholes = {"porthole": f"{ROOT}/build/porthole", "porthole-static": f"{ROOT}/build/static/porthole"}
    portholes.update(extra_binaries)
    proxies = [Proxy(name, "porthole.json", [path, "run", "-c", "@CONFIG@"], [path, "version"])
               for name, path in portholes.items()]
    # As most people run it: nothing but defaults.
    proxies += [Proxy(f"{name}-smallest", "porthole-smallest.json", [path, "run", "-c", "@CONFIG@"], [path, "version"])
                for name, path in portholes.items()]
    for suffix, at in (("", None), ("-newest", NEWEST)):
        proxies += _peers(suffix, at)
    proxies.append(Proxy("haproxy-64k", "haproxy-64k.cfg", ["haproxy", "-db", "-f", "@CONFIG@"], ["haproxy", "-v"],
                         only_cases=("down100m", "up100m", "stream1", "stream16", "stream1echo", "stream16echo")))
    by_name = {proxy.name: proxy for proxy in proxies}
    for name, what in extra_configs.items():
        base, _, file = what.partition(":")
        if base not in by_name:
            raise BenchError(f"no proxy {base!r} to configure")
        model = by_name[base]
        by_name[name] = Proxy(name, os.path.abspath(file), model.command, model.version_command, model.environment)
    return by_name


def prepare_process():
    """What every process of the run inherits: room for 10,000 connections on both sides; the servers' usual paths."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 65536
    if hard != resource.RLIM_INFINITY and hard < want:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, want))
            hard = want
        except (OSError, ValueError):  # root may
            want = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    os.environ["PATH"] += ":/usr/sbin:/sbin"
