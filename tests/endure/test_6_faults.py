"""One call fails, each in its turn: an allocation, a descriptor, a thread that cannot be had.

A start either does without, and serves, or ends by itself with a status that is not 0 and a line that says why, and leaves
nothing where it was to publish. Nothing ever crashes, hangs, or (in a build with a sanitizer, which says so) leaks."""

import os
import signal
import time

import faults
import tap
from faults import SEED, Verdicts, numbers, serves
from world import World, n_times

KINDS = ("path", "stream")


def outcome_of_start(running, seconds):
    """"serves", "ended", or "hangs"."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if running.process.poll() is not None:
            return "ended"
        if running.says() == f"g{running.number}":
            return "serves"
        time.sleep(0.005)
    return "hangs"


def what_is_wrong_with_an_end(running, seconds=0):
    status = running.process.wait(seconds)
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    if status == 0:
        return "ended with 0"
    if not running.output().strip():
        return f"ended with {status}, without a word"
    if "Sanitizer" in running.output():
        return f"a sanitizer complains:\n{running.output()[-1500:]}"
    if any(os.path.lexists(running.world.addresses[kind].partition(":")[2]) for kind in running.world.kinds):
        return f"ended with {status}, and a path is still there"
    return None


def what_is_wrong_with_a_stop(running):
    """It serves; then it is told to stop, unless it has seen that it must by itself, perhaps when one listener of several
    had begun to answer."""
    if not serves(running):
        ends = running.log_of("stopping") or running.log_of("cannot start")
        return what_is_wrong_with_an_end(running, 20) if ends else "answers, but does not forward"
    status = running.terminate(20)
    if running.log_of("cannot start"):
        return what_is_wrong_with_an_end(running, 20)
    if status != 0:
        return f"status {status} at the end:\n{running.output()[-1500:]}"
    return None


def try_start(world, fault, kind, nth, verdicts, **how):
    fault.arm(kind, nth, **how)
    running = world.start(environment=fault.environment())
    outcome = outcome_of_start(running, 3 if how.get("all_from") else 10)
    fault.disarm()
    if outcome == "hangs" and how.get("all_from"):
        # It lives on in want; now it has what it wants.
        outcome = outcome_of_start(running, 5)
    verdicts.count(outcome if fault.n_failed else "not reached")
    if outcome == "ended":
        why = what_is_wrong_with_an_end(running)
    elif outcome == "serves":
        why = what_is_wrong_with_a_stop(running)
    else:
        why = f"hangs:\n{running.output()[-500:]}"
    running.kill()
    if why:
        verdicts.blame(fault, nth, f"{why}\n{running.output()[-300:]}")
        world.clear()
    world.check_directory()


def count_calls(world, fault, kind):
    """How many a start makes, up to its first answers."""
    fault.arm(kind, 0)
    running = world.start(environment=fault.environment())
    running.await_ready()
    assert serves(running)
    n = fault.n_calls
    fault.disarm()
    running.terminate()
    running.await_end()
    return n


def make_start_test(kind, most, all_from=False):
    @tap.test(f"start: {'every call from one on' if all_from else 'a call'} for {faults.NAMES[kind]} fails, {most} times", 60 + 3 * most)
    def _start(context):
        world, fault = World(context, KINDS, workers=2), faults.Faults(context, "start")
        n_calls = count_calls(world, fault, kind)
        assert n_calls > 0, "no call was seen: is the library preloaded?"
        context.note(f"a start makes {n_calls} such calls; ENDURE_SEED={SEED}")
        verdicts = Verdicts(context, faults.NAMES[kind])
        for nth in numbers(n_calls, most):
            try_start(world, fault, kind, nth, verdicts, all_from=all_from)
        verdicts.check()


for _kind in (faults.MEMORY, faults.DESCRIPTORS, faults.THREADS):
    make_start_test(_kind, n_times(20, 200))
make_start_test(faults.MEMORY, n_times(10, 200), all_from=True)
make_start_test(faults.DESCRIPTORS, n_times(10, 200), all_from=True)
