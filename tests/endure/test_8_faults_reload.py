"""One call fails in a reload, each in its turn: then all of it happens, or nothing has happened, which is told. No descriptor stays
open, and the next reload, with nothing in its way, comes through."""

import signal
import time

import faults
import peers
import tap
from faults import ALL, SEED, Verdicts, numbers, serves
from world import World, answers, await_that, mode_of, n_times


class Reloads:
    """One porthole; the configuration changes under it while calls fail."""

    def __init__(self, context, kind, who):
        self.kind, self.who, self.context = kind, who, context
        self.world = World(context, workers=2)
        self.fault, self.n, self.n_tries = faults.Faults(context, "reload"), 0, 0
        self.verdicts = Verdicts(context, faults.NAMES[kind])
        self.start()

    def start(self):
        self.running = self.world.start(environment=self.fault.environment())
        peers.until(lambda: self.running.says() not in (None, ""), 20, "the first answer")
        self.change()
        assert await_that(self.is_new, 20), self.running.output()[-2000:]
        self.n_fds = self.count_fds()

    def count_fds(self):
        """At rest: connections to targets go after a while."""
        self.world.settle(self.running)
        return self.running.n_fds()

    def change(self):
        self.n += 1
        document = self.world.document(f"r{self.n}", ("0660", "0600")[self.n % 2], "ab"[self.n % 2])
        for target in document["targets"].values():
            target["connections"] = {"idle_timeout": "100ms"}
        self.world.write(document)
        self.running.process.send_signal(signal.SIGHUP)

    def _is(self, n):
        """The whole of it: what it answers at all its listeners, and the mode."""
        return self.running.says() == f"r{n}" and mode_of(self.world.path) == (0o660, 0o600)[n % 2] and serves(self.running) and \
            all(answers(address) for address in self.world.addresses.values())

    def is_new(self):
        return self._is(self.n)

    def is_old(self):
        return self._is(self.n - 1)

    def await_quiet(self, n_lines):
        """Until it was told of, and no more such calls are made, which is when the reload is over; at most some seconds."""
        await_that(lambda: any("reload" in line for line in self.running.output().splitlines()[n_lines:]), 20)
        end, last, since = time.monotonic() + 2, -1, time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.12:
            if self.fault.n_calls != last:
                last, since = self.fault.n_calls, time.monotonic()
            time.sleep(0.01)

    def what_is_wrong(self, n_lines):
        if self.running.process.poll() is not None:
            return f"it has ended with {self.running.process.returncode}:\n{self.running.output()[-1500:]}"
        await_that(lambda: self.is_new() or self.is_old(), 20)
        time.sleep(0.05)
        state = await_that(lambda: "new" if self.is_new() else "old" if self.is_old() else None, 20)
        if state == "new":
            self.verdicts.count("new" if self.fault.n_failed else "not reached")
        elif state == "old":
            self.verdicts.count("old")
            told = self.running.output().splitlines()[n_lines:]
            if not any(" error " in line or " warn " in line for line in told):
                return f"the old one goes on, and nothing is told: {told}"
        else:
            return f"neither the old nor the new one: it says {self.running.says()}, mode {mode_of(self.world.path):04o}, not r{self.n}: {self.running.output().splitlines()[n_lines:]}"
        return None

    def what_is_wrong_afterwards(self):
        self.change()
        if not await_that(self.is_new, 20):
            return f"the next reload does not come through: {self.running.output()[-1500:]}"
        self.n_tries += 1
        if self.n_tries % 10:
            return None
        n_fds = self.count_fds()
        if n_fds != self.n_fds:  # closing may take its time; what is lost is never given back
            await_that(lambda: self.running.n_fds() == self.n_fds, 20)
            n_fds = self.running.n_fds()
        return f"{n_fds} descriptors, not {self.n_fds}" if n_fds != self.n_fds else None

    def try_one(self, nth):
        n_lines = len(self.running.output().splitlines())
        self.fault.arm(self.kind, nth, who=self.who)
        self.change()
        self.await_quiet(n_lines)
        self.fault.disarm()
        why = self.what_is_wrong(n_lines) or self.what_is_wrong_afterwards()
        if why:
            self.verdicts.blame(self.fault, nth, why)
            self.running.kill()
            self.world.clear()
            self.start()

    def count_calls(self):
        n_lines = len(self.running.output().splitlines())
        self.fault.arm(self.kind, 0, who=self.who)
        self.change()
        self.await_quiet(n_lines)
        n = self.fault.n_calls
        self.fault.disarm()
        assert await_that(self.is_new, 20)
        return n


def make_reload_test(kind, most, who, whose):
    @tap.test(f"reload: a call for {faults.NAMES[kind]} fails{whose}, {most} times", 120 + 8 * most)
    def _reload(context):
        reloads = Reloads(context, kind, who)
        n_calls = reloads.count_calls()
        context.note(f"a reload makes {n_calls} such calls; ENDURE_SEED={SEED}")
        for nth in numbers(n_calls, most):
            reloads.try_one(nth)
        reloads.verdicts.check()
        status = reloads.running.terminate(30)
        assert status == 0, f"status {status}: {reloads.running.output()[-2000:]}"


make_reload_test(faults.MEMORY, n_times(10, 200), ALL, "")
make_reload_test(faults.DESCRIPTORS, n_times(10, 200), ALL, "")
make_reload_test(faults.MEMORY, n_times(5, 200), faults.OTHER_THREADS, " in a worker")
