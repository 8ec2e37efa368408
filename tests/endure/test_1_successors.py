"""A successor comes while clients are at work: nobody loses a request, and no path is absent for a moment."""

import signal
import time

import tap
from world import ALL_KINDS, World, n_times


def begin(context, workers):
    world = World(context, ALL_KINDS, workers)
    world.watch()
    running = world.start()
    running.await_ready()
    world.send_crew(tunnels=1)
    time.sleep(0.5)
    return world, running


def end(world, running):
    time.sleep(0.5)
    world.see_crew_out()
    world.see_watcher_out()
    world.check_directory()
    running[-1].terminate()
    for each in running:
        each.await_end()
    world.check_directory()


def succeed(context, workers, n, happen):
    """`happen(old, new)` is called when each successor serves. Old ones may overlap: two at once are waited for."""
    world, first = begin(context, workers)
    running, took = [first], []
    for _ in range(n):
        new = world.start("--takeover")
        took.append(new.await_ready())
        happen(world, running[-1])
        running.append(new)
        if len(running) > 3:
            running[-4].await_end()
        time.sleep(world.rng.choice((0, 0.1, 0.5)))
    context.note(f"{n} successors; started in {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms, the path's answer included")
    end(world, running)


def make_tests(workers, n):
    @tap.test(f"takeover under load, {workers} workers, {n} times: no request fails", 120 + 10 * n)
    def _takeover(context):
        succeed(context, workers, n, lambda _world, _old: None)

    @tap.test(f"stop with a successor that was started first, under load, {workers} workers, {n} times: no request fails", 120 + 10 * n)
    def _stop(context):
        def stop(world, old):
            time.sleep(world.rng.choice((0, 0, 0.01, 0.2)))
            old.process.send_signal(signal.SIGTERM)

        succeed(context, workers, n, stop)


make_tests(4, n_times(4, 20))
make_tests(1, n_times(2, 20))
