"""One call fails in a takeover, each in its turn: then the old one serves on or the new one does, all the listeners, and who is
refused ends with a status and a word. Nothing crashes, and nothing is left over."""

import time

import faults
import tap
from faults import SEED, Verdicts, numbers, serves
from test_6_faults import what_is_wrong_with_an_end
from world import ALL_KINDS, DRAIN_S, World, answers, await_that, n_times


class Takeovers:
    """A living porthole and successors, in one of which (or in the living one itself) calls fail."""

    def __init__(self, context, kind, in_new):
        self.kind, self.in_new = kind, in_new
        self.world, self.n_faults, self.context = World(context, ALL_KINDS, workers=2), 0, context
        self.verdicts = Verdicts(context, faults.NAMES[kind])
        self.old_fault, self.old = self.start()
        self.old.await_ready()

    def start(self, *arguments):
        self.n_faults += 1
        fault = faults.Faults(self.context, f"f{self.n_faults}")
        return fault, self.world.start(*arguments, environment=fault.environment())

    def is_served_by(self, running):
        return running.says() == f"g{running.number}" and serves(running) and all(answers(self.world.addresses[kind]) for kind in ALL_KINDS)

    def what_is_wrong_with_a_refusal(self, new):
        why = what_is_wrong_with_an_end(new) if new.process.returncode else "ended with 0"
        if why and "a path is still there" not in why:
            return why
        if not await_that(lambda: self.is_served_by(self.old), 20):
            return f"the old one does not serve (stopping: {bool(self.old.log_of('stopping'))}): {self.old.output()[-800:]}"
        return None

    def what_is_wrong_with_a_success(self, new):
        if not await_that(lambda: self.old.process.poll() is not None, DRAIN_S + 10):
            return f"the old one does not end: {self.old.output()[-800:]}"
        if self.old.process.returncode != 0:
            return f"the old one has ended with {self.old.process.returncode}"
        return None if await_that(lambda: self.is_served_by(new), 20) else "the new one does not serve"

    def is_decided(self, new):
        """The new one is over, or the old one goes: who answers already may yet see that it cannot go on."""
        return any(each.process.poll() is not None for each in (new, self.old)) or self.old.log_of("stopping")

    def try_one(self, nth):
        fault = self.old_fault
        if not self.in_new:
            fault.arm(self.kind, nth)
        new_fault, new = self.start("--takeover") if not self.in_new else self.start_armed(nth)
        fault = new_fault if self.in_new else fault
        await_that(lambda: self.is_decided(new), 10)
        time.sleep(0.05)
        if new.log_of("stopping"):
            new.process.wait(DRAIN_S + 10)
        if new.process.poll() is None:
            outcome, why = "succeeds", self.what_is_wrong_with_a_success(new)
        else:
            outcome, why = "refused", self.what_is_wrong_with_a_refusal(new)
        fault.disarm()
        self.verdicts.count(outcome if fault.n_failed else "not reached")
        if why:
            self.verdicts.blame(fault, nth, f"{why}\n{new.output()[-300:]}")
        self.go_on(new_fault, new, outcome, why)

    def start_armed(self, nth):
        self.n_faults += 1
        fault = faults.Faults(self.context, f"f{self.n_faults}")
        fault.arm(self.kind, nth)
        return fault, self.world.start("--takeover", environment=fault.environment())

    def go_on(self, new_fault, new, outcome, why):
        """Whoever serves is the old one of the next try; after what went wrong, another."""
        if why:
            new.kill()
            self.old.kill()
            self.world.clear()
            self.old_fault, self.old = self.start()
            self.old.await_ready()
        elif outcome == "succeeds":
            self.old_fault, self.old = new_fault, new
        self.world.check_directory(seconds=20)

    def count_calls(self):
        """Of the one in which they will fail."""
        self.old_fault.arm(self.kind, 0)
        fault, new = self.start_armed(0)
        new.await_ready()
        self.old.await_end()
        n = (fault if self.in_new else self.old_fault).n_calls
        fault.disarm()
        self.old_fault, self.old = fault, new
        return n


def make_takeover_test(kind, most, in_new):
    @tap.test(f"takeover: a call for {faults.NAMES[kind]} fails in the {'new' if in_new else 'old'} one, {most} times", 120 + 6 * most)
    def _takeover(context):
        takeovers = Takeovers(context, kind, in_new)
        n_calls = takeovers.count_calls()
        context.note(f"it makes {n_calls} such calls; ENDURE_SEED={SEED}")
        for nth in numbers(n_calls, most):
            takeovers.try_one(nth)
        takeovers.verdicts.check()


for _kind in (faults.MEMORY, faults.DESCRIPTORS):
    for _in_new in (True, False):
        make_takeover_test(_kind, n_times(10, 200), _in_new)
