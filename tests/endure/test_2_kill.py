"""kill -9 at random moments, of a start, of a takeover, of a porthole that serves: the next one always starts, and at the path
there is never anything but a socket with the right mode, which leads to whoever lives. Nothing of anybody else's is touched,
and what a killed one leaves behind does not pile up.

What was under way when it was killed is lost, of course; but nobody may get an answer that is not theirs."""

import time

import tap
from world import World, answers, kill, n_times

KINDS = ("path", "stream")
MOST_LEFT = 4  # a lock and a private directory for each of two that were killed while they published


def random_moment(world, ready_s):
    """Of a start, mostly: the first milliseconds are when something is at stake."""
    return world.rng.choice((world.rng.uniform(0, ready_s), world.rng.uniform(0, ready_s), world.rng.uniform(0, 0.1)))


def check_served(world, running):
    """While it lives, the path leads to it."""
    for _ in range(3):
        says = running.says()
        assert says == f"g{running.number}", f"the path leads to {says}, not to g{running.number}, which lives: {running.output()[-2000:]}"
        time.sleep(0.005)


def stays(old, seconds=10):
    """After the death of a successor: whether the old one has its paths, again or still. Else it has made room, and ends."""
    end = time.monotonic() + seconds
    while not old.log_of("stopping"):
        if old.says() == f"g{old.number}" and answers(old.world.addresses["stream"]):
            return True
        assert old.process.poll() is None or old.log_of("stopping"), f"it has ended with {old.process.returncode}: {old.output()[-2000:]}"
        assert time.monotonic() < end, f"nobody serves: {old.output()[-2000:]}"
        time.sleep(0.01)
    return False


def begin(context):
    world = World(context, KINDS)
    world.watch(pause_us=20)
    first = world.start()
    ready_s = first.await_ready()
    world.send_crew(tunnels=1)
    return world, first, ready_s


def end(world, last, took, n):
    kill(last)
    after = world.start()
    took.append(after.await_ready())
    world.context.note(f"{n} kills; {len(took)} starts to the first answer: {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms")
    time.sleep(0.3)
    world.see_crew_out(may_lose=True)
    world.see_watcher_out()
    world.check_directory()
    after.terminate()
    after.await_end()
    world.check_directory()


N_KILLS = n_times(30, 200)


@tap.test(f"kill -9 at {N_KILLS} random moments under load, each followed by a start", 60 + N_KILLS)
def restarts(context):
    world, running, ready_s = begin(context)
    took = []
    for i in range(N_KILLS):
        time.sleep(random_moment(world, ready_s))
        assert running.process.poll() is None, f"it has ended with {running.process.returncode}: {running.output()[-2000:]}"
        kill(running)
        world.check_directory(MOST_LEFT)
        running = world.start()
        if i % 4 == 0:
            took.append(running.await_ready())
            check_served(world, running)
    end(world, running, took, N_KILLS)


@tap.test(f"kill -9 of a successor at {N_KILLS} random moments under load: the one that lives is at the path", 60 + 3 * N_KILLS)
def successors(context):
    world, old, ready_s = begin(context)
    took, n_old, slowest = [], 0, 0.0
    for _ in range(N_KILLS):
        new = world.start("--takeover")
        time.sleep(world.rng.uniform(0, 2 * ready_s) + world.rng.choice((0, 0, 0.1)))
        assert new.process.poll() is None, f"it has ended with {new.process.returncode}: {new.output()[-2000:]}"
        kill(new)
        begun = time.monotonic()
        if stays(old):
            n_old, slowest = n_old + 1, max(slowest, time.monotonic() - begun)
            continue
        # It had the path: the old one is on its way out, or gone, and whoever looks after it starts another.
        old.await_end()
        old = world.start()
        took.append(old.await_ready())
        check_served(world, old)
    context.note(f"{n_old} of {N_KILLS} successors were killed before they had all; the old one had its paths after {slowest:.2f} s at most")
    end(world, old, took, N_KILLS)


@tap.test(f"kill -9 of the one that is succeeded, at {N_KILLS} random moments under load: the successor serves", 60 + N_KILLS)
def succeeded(context):
    world, old, ready_s = begin(context)
    took = []
    for _ in range(N_KILLS):
        new = world.start("--takeover")
        time.sleep(world.rng.uniform(0, 2 * ready_s) + world.rng.choice((0, 0, 0.1)))
        kill(old)
        took.append(new.await_ready())
        check_served(world, new)
        old = new
    end(world, old, took, N_KILLS)
