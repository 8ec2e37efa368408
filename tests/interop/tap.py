"""The tests of this suite, and running them: each in a directory of its own and within its time. They run in this process,
one after the other, or each in a process of its own, several at once; they are told in their order either way."""

import contextlib
import glob
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

TESTS = []
LOG_LINES = 20  # of each program, beside a failure


class Skip(Exception):
    """The machine does not have what the test needs."""


class TooLong(BaseException):
    """A test has used up its seconds."""


class Context(contextlib.ExitStack):
    """What a test gets: a directory, and a stack of what to undo at its end."""

    def __init__(self):
        super().__init__()
        # Short enough for socket paths, and open to other users: the listeners' modes are under test, not this one's.
        self.dir = tempfile.mkdtemp(prefix="porthole-interop-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.notes = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def note(self, text):
        """A line for the log, beside the verdict."""
        self.notes += str(text).splitlines()

    def note_logs(self):
        """The end of what the programs of a test have said, before its directory goes."""
        for path in sorted(glob.glob(self.path("*.log")) + glob.glob(self.path("*.access"))):
            with open(path, encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
            self.notes += [f"{os.path.basename(path)}: {line[:400]}" for line in lines[-LOG_LINES:]]


def test(name, seconds=30):
    def register(function):
        TESTS.append((name, seconds, function))
        return function

    return register


def _on_alarm(_signal, _frame):
    raise TooLong()


def _run_one(number, name, seconds, function):
    context, begin = Context(), time.monotonic()
    directive = failure = ""
    signal.alarm(seconds)
    try:
        with context:
            try:
                function(context)
            except (AssertionError, EOFError, OSError, ValueError, subprocess.SubprocessError, TooLong):
                context.note_logs()
                raise
            finally:
                signal.alarm(seconds)  # cleaning up has its own time
    except Skip as skip:
        directive = f" # SKIP {skip}"
    except TooLong:
        failure = f"still running after {seconds} s\n{traceback.format_exc()}"
    except BaseException as error:  # pylint: disable=broad-except
        if isinstance(error, KeyboardInterrupt):
            raise
        failure = traceback.format_exc()
    finally:
        signal.alarm(0)
    print(f"{'not ok' if failure else 'ok'} {number} - {name}{directive}")
    print(f"# {time.monotonic() - begin:.2f} s")
    for line in context.notes + failure.splitlines():
        print(f"# {line}")
    return not failure


def _raise_descriptor_limit():
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard != resource.RLIM_INFINITY else 8192, hard))


def _fork(number, a_test):
    """Runs a test in a process of its own; returns its id, and the file that has what it printed."""
    printed = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            sys.stdout = printed
            status = 0 if _run_one(number, *a_test) else 1
            printed.flush()
        finally:
            os._exit(status)
    return pid, printed


def _tell(number, a_test, printed, status):
    """Prints what a test's process has printed; returns whether it failed. One that died has not spoken for itself."""
    printed.seek(0)
    text = printed.read()
    printed.close()
    if not text.startswith(("ok ", "not ok ")):
        text = f"not ok {number} - {a_test[0]}\n# its process has ended with status {status}\n{text}"
    sys.stdout.write(text)
    sys.stdout.flush()
    return text.startswith("not ok")


def _run_at_once(tests, most):
    """Returns how many failed."""
    running, ended, n_failed, n_told = {}, {}, 0, 0
    for number in range(1, len(tests) + 1):
        pid, printed = _fork(number, tests[number - 1])
        running[pid] = (number, printed)
        while len(running) == most or (running and number == len(tests)):
            pid, status = os.wait()
            if pid in running:
                which, printed = running.pop(pid)
                ended[which] = (printed, os.waitstatus_to_exitcode(status))
            while n_told + 1 in ended:
                n_told += 1
                n_failed += _tell(n_told, tests[n_told - 1], *ended.pop(n_told))
    return n_failed


def run(words, most=1):
    """Runs the tests whose name contains one of the words (or all), `most` at once; returns an exit status."""
    _raise_descriptor_limit()
    signal.signal(signal.SIGALRM, _on_alarm)
    tests = [t for t in TESTS if not words or any(word in t[0] for word in words)]
    print(f"1..{len(tests)}")
    if most == 1:
        n_failed = sum(not _run_one(number, *t) for number, t in enumerate(tests, 1))
    else:
        n_failed = _run_at_once(tests, most)
    print(f"# {len(tests) - n_failed} of {len(tests)} passed")
    sys.stdout.flush()
    return 1 if n_failed or not tests else 0
