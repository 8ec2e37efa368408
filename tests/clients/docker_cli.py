"""The docker client as a program: run to its end, watched while it runs, or typed at in a terminal."""

import errno
import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time


def until(condition, seconds, what, pause=0.01):
    """Waits for a condition, and says what did not happen."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)


class Result:
    """How a command ended."""

    def __init__(self, arguments, status, out, err):
        self.arguments, self.status, self.out, self.err = arguments, status, out, err

    def check(self, status=0, out=None):
        """Its exit status and, when given, every byte that it printed."""
        as_expected = self.status == status and (out is None or self.out == out)
        assert as_expected, f"{self}, expected status {status}" + ("" if out is None else f", out {out[:500]!r}")
        return self

    def __str__(self):
        return f"docker {' '.join(self.arguments)}: status {self.status}, out {self.out[:500]!r}, err {self.err[:500]!r}"


class Live:
    """A client that is still running; what it prints is collected as it comes."""

    def __init__(self, arguments, process):
        self.arguments, self.process, self.pid = arguments, process, process.pid
        self.streams, self.threads = {"out": b"", "err": b""}, []
        for name, pipe in (("out", process.stdout), ("err", process.stderr)):
            thread = threading.Thread(target=self._collect, args=(name, pipe), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _collect(self, name, pipe):
        while data := os.read(pipe.fileno(), 65536):
            self.streams[name] += data
        pipe.close()

    out = property(lambda self: self.streams["out"])
    err = property(lambda self: self.streams["err"])

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def expect(self, part, seconds=20):
        until(lambda: part in self.out or self._ended_without(part), seconds, lambda: f"{part!r} from {self}")

    def _ended_without(self, part):
        if self.process.poll() is not None:
            for thread in self.threads:
                thread.join(10)
            assert part in self.out, f"ended without {part!r}: {self}"

    def end(self, seconds=20):
        """Waits for the end of the client and of its output."""
        status = self.process.wait(seconds)
        for thread in self.threads:
            thread.join(10)
        return Result(self.arguments, status, self.out, self.err)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass

    def __str__(self):
        return (f"docker {' '.join(self.arguments)} (status {self.process.poll()}): "
                f"out {self.out[-500:]!r}, err {self.err[-500:]!r}")


class Terminal:
    """A client whose input and output are a terminal, with somebody who types."""

    def __init__(self, program, arguments, environment):
        self.arguments, self.screen, self.status = arguments, b"", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(program, [program, *arguments], environment)
            finally:
                os._exit(127)
        modes = termios.tcgetattr(self.fd)
        modes[1] &= ~termios.OPOST  # what the screen shows is what arrived
        termios.tcsetattr(self.fd, termios.TCSANOW, modes)
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # nobody has the terminal open any more
                    return
                raise
            if not data:
                return
            self.screen += data

    def type(self, keys):
        os.write(self.fd, keys)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, part, seconds=20):
        until(lambda: part in self.screen, seconds, lambda: f"{part!r} on the screen: {self.screen!r}")

    def end(self, seconds=20):
        """Waits for the end of the client; returns its exit status."""
        until(self._has_ended, seconds, lambda: f"the end of docker {' '.join(self.arguments)}: {self.screen!r}")
        self.thread.join(10)
        return self.status

    def _has_ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def close(self):
        if not self._has_ended():
            os.kill(self.pid, signal.SIGKILL)
            until(self._has_ended, 10, "the client dies")
        self.thread.join(10)
        os.close(self.fd)


class Docker:
    """The client, with the engine's socket that it is to use. `label` tells the reader which way that is."""

    n_names = 0

    def __init__(self, label, socket, configuration):
        self.label, self.socket = label, socket
        self.program = shutil.which(os.environ.get("DOCKER", "docker"))
        if not self.program:
            raise AssertionError("there is no docker client here (Debian: docker-cli or docker.io)")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER")}
        self.environment = {**kept, "DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": configuration,
                            "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false", "TERM": "xterm", "LC_ALL": "C"}

    def at(self, socket):
        """The same client for another socket."""
        return Docker(self.label, socket, self.environment["DOCKER_CONFIG"])

    def name(self):
        """A name for a container or an image that nothing else has."""
        Docker.n_names += 1
        return f"c{Docker.n_names}"

    def start(self, context, *arguments, stdin=subprocess.DEVNULL):
        """Starts a client and goes on; it ends with the test."""
        process = subprocess.Popen([self.program, *arguments], stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment)
        live = Live(arguments, process)
        context.callback(live.kill)
        return live

    def terminal(self, context, *arguments):
        terminal = Terminal(self.program, arguments, self.environment)
        context.callback(terminal.close)
        return terminal

    def run(self, *arguments, stdin=b"", seconds=120):
        """Runs a client to its end. Its input is a pipe that carries `stdin` (bytes) and ends, or a file."""
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        # To files, since a pipe that a surviving child holds open would have this wait for the child.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([self.program, *arguments], stdout=out, stderr=err, env=self.environment,
                                  timeout=seconds, check=False, **given)
            out.seek(0)
            err.seek(0)
            return Result(arguments, done.returncode, out.read(), err.read())
