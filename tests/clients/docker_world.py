"""What the tests run against: a podman of their own, an image of it, and porthole in front; made once, when first needed.

Everything lies in one directory, so that neither the machine's nor the user's containers are seen or touched. The
storage driver is vfs, which copies instead of mounting: the image is 2 MB, and it works wherever this is run, inside
a container too. The cgroup manager and the runtime are those of tests/pods."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
import traceback

import tap
from docker_cli import Docker, until
from porthole import Background, Porthole

IMAGE = "box:1"
REFUSAL = "not through this socket"
# Podman keeps a detached exec that has ended for five minutes, and ends what has its number by then when the container
# goes. The numbers of a busy machine come round sooner.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
exit_command_delay = 20
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""
BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")


class World:
    def __init__(self):
        self.context = tap.Context()
        self.dir = self.context.dir
        try:
            self._start()
        except BaseException:
            self.context.close()
            raise

    def path(self, name):
        return self.context.path(name)

    def _start(self):
        self._start_podman()
        self.direct = Docker("directly to podman", self.path("podman.sock"), self.path("client"))
        self._import_image()
        self.porthole = self.start_porthole("p", listeners=[
            {"bind": f"unix:{self.path('p.sock')}", "routes": [{"target": "podman"}]},
            {"bind": f"unix:{self.path('read.sock')}", "routes": [
                {"match": {"methods": ["GET", "HEAD"]}, "target": "podman"},
                {"respond": {"status": 403, "body": REFUSAL + "\n"}}]}])
        self.through = Docker("through porthole", self.path("p.sock"), self.path("client"))
        self.reading = Docker("through the cut-down socket", self.path("read.sock"), self.path("client"))
        self.boxes = {}

    # ---- podman ----

    def _podman(self, *arguments, seconds=60):
        return subprocess.run([*self.podman, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False)

    def _start_podman(self):
        with open(self.path("containers.conf"), "w", encoding="ascii") as f:
            f.write(CONTAINERS_CONF)
        self.environment = {**os.environ, "CONTAINERS_CONF": self.path("containers.conf")}
        self.podman = ["podman", "--root", self.path("storage"), "--runroot", self.path("run"), "--tmpdir",
                       self.path("tmp"), "--storage-driver", "vfs"]
        if not shutil.which("podman"):
            raise AssertionError("there is no podman here")
        self.context.callback(self._unmount)
        self.context.callback(self._end_containers)
        self.service = Background(self.context, [*self.podman, "system", "service", "--time=0",
                                                 f"unix://{self.path('podman.sock')}"], "podman", env=self.environment)
        until(lambda: os.path.exists(self.path("podman.sock")) or self.service.process.poll() is not None, 30,
              lambda: f"podman's socket: {self.service.output()}")

    def _end_containers(self):
        self._podman("rm", "--all", "--force", "--time", "0", "--volumes")
        # A monitor of an exec stays for a while to tell how that ended, and would make the directory anew.
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(AssertionError):  # close() tells who stays
            until(lambda: not self._processes(), 20, "the end of who was killed")

    def _processes(self):
        """Those that name our directory, which nobody else knows."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.dir.encode() + b"/" in f.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def _unmount(self):
        """What a killed container leaves: its shm."""
        with open("/proc/self/mounts", encoding="utf-8") as f:
            mounts = [line.split()[1] for line in f]
        for mount in reversed(mounts):
            if mount.startswith(self.dir + "/"):
                subprocess.run(["umount", mount], check=False)

    def _import_image(self):
        self.busybox = program = next((path for path in BUSYBOX if os.path.exists(path)), None)
        if not program:
            raise AssertionError("there is no busybox here (Debian: busybox-static)")
        names = subprocess.run([program, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for directory in ("bin", "tmp", "data"):
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            tar.add(program, "bin/busybox")
            for name in set(names) - {"busybox"}:
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        self.direct.run("import", "-", IMAGE, stdin=buffer.getvalue()).check()

    # ---- porthole ----

    def start_porthole(self, name, listeners=None, context=None, **top):
        """Another porthole in front of podman, at NAME.sock unless it is told where."""
        listeners = listeners or [{"bind": f"unix:{self.path(name + '.sock')}", "routes": [{"target": "podman"}]}]
        target = {"endpoints": [f"unix:{self.path('podman.sock')}"], "connections": {"idle_timeout": "1s"}}
        porthole = Porthole(self.context, listeners=listeners, targets={"podman": target}, name=name, **top)
        if context:
            context.callback(porthole.kill)
        return porthole

    def n_podman_connections(self):
        """Connections that podman has accepted and that are open."""
        with open("/proc/net/unix", encoding="utf-8") as f:
            lines = [line.split() for line in f]
        return sum(len(l) > 7 and l[7] == self.path("podman.sock") and l[5] == "03" for l in lines)

    # ---- containers ----

    def ways(self):
        return [self.direct, self.through]

    def forget(self, context, name):
        """Has a container removed at the end of a test, whatever has become of it by then."""
        context.callback(self.direct.run, "rm", "--force", "--volumes", name)
        context.callback(self.direct.run, "kill", name)  # first, since podman 5 would give it ten seconds to stop
        return name

    def box(self):
        """A container that runs as long as the tests, for commands to be executed in."""
        if "box" not in self.boxes:
            self.direct.run("run", "-d", "--network", "none", "--name", "box", IMAGE, "sleep", "100000").check()
            self.boxes["box"] = "box"
        return self.boxes["box"]

    def close(self):
        """Undoes all of it; returns what could not be undone."""
        self.context.close()
        left = [self.dir] if os.path.exists(self.dir) else []
        left += [f"process {pid}" for pid in self._processes()]
        return left


class _Once:
    """The one world, or why there is none."""

    world = None
    failure = None


def world():
    if _Once.failure:
        raise AssertionError(f"needs podman, porthole and an image, which failed: {_Once.failure}")
    if not _Once.world:
        try:
            _Once.world = World()
        except Exception as error:
            _Once.failure = str(error)
            raise
    return _Once.world


def close():
    return _Once.world.close() if _Once.world else []


def both(name, seconds=240):
    """A test that is made twice: directly to podman, then through porthole. So a failure says whose it is."""

    def register(function):
        def measure(context):
            failures = []
            for way in world().ways():
                begin = time.monotonic()
                context.note(f"{way.label} ...")
                try:
                    with tap.Context() as inner:
                        function(inner, way)
                        context.notes += inner.notes
                except tap.Skip:
                    raise
                except Exception:  # pylint: disable=broad-except
                    failures.append((way.label, traceback.format_exc()))
                context.note(f"... {time.monotonic() - begin:.2f} s")
            labels = [label for label, _ in failures]
            verdict = "podman itself fails" if world().direct.label in labels else "podman alone does it right"
            assert not failures, f"{verdict}\n" + "\n".join(f"{label}:\n{text}" for label, text in failures)

        tap.test(name, seconds)(measure)
        return function

    return register
