#!/usr/bin/python3
"""How the cost of a request grows: with connections, routes, workers, listeners and targets, and for new connections.

porthole, nginx and HAProxy, the latter two tuned, serve a 100-byte GET; of each of these there are more and more, while all else
stays as it is. For each point every proxy starts anew; they take turns, and figures are medians over the rounds. A curve of
porthole's is flat when its dearest point costs at most 15 % more than its cheapest, from 10 connections on; where one is
not, the exit status is 1.

Writes scale.md, scale.csv and a plot per curve (SVG) into build/bench/scale.

Examples:
  tests/bench/run.sh scale --quick
  tests/bench/run.sh scale --only porthole,nginx --curve routes,targets --rounds 5
"""

import argparse
import csv
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace

import cases
import procs
import proxies
import report
import run
from shapes import MAKERS, Shape, most_connections

OUT = f"{run.OUT}/scale"
FLAT = 1.15
TENFOLD = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Curve:
    name: str
    title: str
    points: tuple
    model: Shape = Shape()
    key: str = ""  # of Shape, when that is not the name
    flat_from: int = 1  # the point from which on it is to be flat; 0: it need not be

    def shape(self, point):
        return replace(self.model, **{self.key or self.name: point})


CURVES = {curve.name: curve for curve in [
    Curve("connections", "connections", (1, 10, 100, 1000, 10000), flat_from=10),
    Curve("routes", "routes, the last of which matches", TENFOLD),
    Curve("workers", "workers, 64 connections", (1, 2, 4), Shape(connections=64)),
    Curve("listeners", "listeners, the last of which is asked", TENFOLD),
    Curve("targets", "targets, the last of which is asked", TENFOLD),
    Curve("accept", "connections at once, a new one for each request", TENFOLD, Shape(anew=True), "connections", flat_from=0),
]}


class Shaped(proxies.Proxy):
    """One of the contestants, with a configuration of a shape."""

    def __init__(self, model, shape):
        super().__init__(model.name, model.template, model.command, model.version_command, model.environment)
        self.shape = shape

    def text(self, own):
        return MAKERS[self.template](self.shape, own)

    def is_ready(self):
        proxies.UnixConnection(self.socket).get(self.shape.path())


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh scale", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="comma-separated proxies (default: all that are here)")
    parser.add_argument("--curve", metavar="NAMES", help=f"comma-separated, of: {', '.join(CURVES)}")
    parser.add_argument("--rounds", type=int, help="how often each point is measured (default 5, quick 1)")
    parser.add_argument("--window", type=int, metavar="MS", help="length of one measurement (default 1000, quick 200)")
    parser.add_argument("--binary", action="append", default=[], metavar="NAME=PATH", type=run.pair,
                        help="another build of porthole; may be repeated")
    parser.add_argument("--quick", action="store_true", help="coarse")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    arguments.window = arguments.window or (200 if arguments.quick else 1000)
    return arguments


def within_limits(curve):
    """Without the points that this machine lets nobody reach: where 10,000 are too many, as many thousands as there can be."""
    most = most_connections()
    if curve.name != "connections" or curve.points[-1] <= most:
        return curve
    print(f"NOT MEASURED: {curve.points[-1]:,} connections, for want of descriptors; {most // 1000 * 1000:,} instead")
    return replace(curve, points=(*curve.points[:-1], most // 1000 * 1000))


def choose(arguments):
    known = {name: proxy for name, proxy in proxies.contestants(dict(arguments.binary), {}).items() if proxy.template in MAKERS}
    chosen = run.select(arguments.only, known, "proxy")
    missing = [proxy.name for proxy in chosen if not proxy.available()]
    if missing:
        print(f"NOT MEASURED, because they are not here: {', '.join(missing)}")
    return [proxy for proxy in chosen if proxy.available()]


def sample(bench, model, shape, directory):
    """One point of one proxy."""
    own = tempfile.mkdtemp(prefix="scale.", dir=directory)  # short-lived: thousands of sockets may be in it
    os.chmod(own, 0o755)
    os.symlink(bench.backend_socket, f"{own}/backend.sock")
    proxy = Shaped(model, shape)
    proxy.configure(own, bench.backend_socket)
    cpus = {bench.proxy_cpu} if shape.workers == 1 else set(range(os.cpu_count()))
    try:
        proxy.start(bench.processes, cpus)
        kind = "connect" if shape.anew else "load"
        return cases.measure(bench, proxy, cases.Case("scale", "", kind, shape.path(), shape.connections))
    finally:
        proxy.stop(bench.processes)
        shutil.rmtree(own, ignore_errors=True)


def measure(arguments, contestants, curves, directory, processes):
    """(curve, point, proxy) -> its samples."""
    bench = run.make_bench(argparse.Namespace(window=arguments.window, quick=arguments.quick), processes, directory)
    taken = {}
    for number in range(arguments.rounds):
        for curve in curves:
            for point in curve.points:
                for model in contestants[number % len(contestants):] + contestants[:number % len(contestants)]:
                    report.progress(number, argparse.Namespace(name=f"{point} {curve.name}"), model)
                    taken.setdefault((curve.name, point, model.name), []).append(sample(bench, model, curve.shape(point), directory))
    report.progress_end()
    return taken


def median(samples, metric):
    return statistics.median(sample[metric] for sample in samples)


def spread(taken, curve, name):
    """The dearest point over the cheapest, of those that are to be alike; None when none are."""
    costs = [median(taken[curve.name, point, name], "cpu_us") for point in curve.points if curve.flat_from and point >= curve.flat_from]
    return max(costs) / min(costs) if costs else None


def curve_section(taken, curve, names):
    rows = []
    for name in names:
        costs = [median(taken[curve.name, point, name], "cpu_us") for point in curve.points]
        dearest = spread(taken, curve, name)
        rates = [median(taken[curve.name, point, name], "rps") for point in curve.points]
        rss = [median(taken[curve.name, point, name], "rss_kib") / 1024 for point in (curve.points[0], curve.points[-1])]
        rows.append([name, *(report.number(cost, 1) for cost in costs), report.number(dearest), report.number(max(rates), 0),
                     report.number(rss[0], 1), report.number(rss[1], 1)])
    header = [curve.name, *(f"{point:,}" for point in curve.points), "dearest / cheapest", "most requests/s", "MiB at first", "at last"]
    return f"## {curve.title[0].upper()}{curve.title[1:]}\n\nCPU µs/request.\n\n{report.table(header, rows)}\n\n"


def plot(taken, curve, names):
    data, chart = f"{OUT}/plot-{curve.name}.csv", f"{OUT}/{curve.name}.svg"
    with open(data, "w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow([curve.name, *names])
        for point in curve.points:
            writer.writerow([point, *(round(median(taken[curve.name, point, name], "cpu_us"), 3) for name in names)])
    settings = (f"data='{data}'; chart='{chart}'; heading='CPU per request'; xname='{curve.title}'; yname='µs'; n={len(names)}")
    subprocess.run(["gnuplot", "-e", settings, f"{report.HERE}/curve.gp"], check=True, timeout=30)


def write(taken, curves, names, arguments, started):
    os.makedirs(OUT, exist_ok=True)
    sections = "".join(curve_section(taken, curve, names) for curve in curves)
    about = (f"- Machine: {procs.machine()}\n- {time.strftime('%Y-%m-%d %H:%M', time.localtime(started))}, {time.time() - started:.0f} s, "
             f"{arguments.rounds} rounds of {arguments.window} ms; figures are medians\n- 32 connections, and one of everything, where "
             "nothing else is said\n")
    with open(f"{OUT}/scale.md", "w") as f:
        f.write(f"# How the cost of a request grows\n\n{about}\n{sections}")
    report.write_samples(f"{OUT}/scale.csv", [{"curve": curve, "point": point, "proxy": name, "round": i + 1} | one
                                              for (curve, point, name), many in taken.items() for i, one in enumerate(many)])
    print(sections)
    if shutil.which("gnuplot"):
        for curve in curves:
            plot(taken, curve, names)
    else:
        print("note: no gnuplot here, no plots (make bench installs it)")
    print(f"{time.time() - started:.0f} s; everything is in {os.path.relpath(OUT)}")


def steep(taken, curves, names):
    """What of porthole's is not flat."""
    for curve in curves:
        for name in names:
            dearest = spread(taken, curve, name)
            if name.startswith("porthole") and dearest and dearest > FLAT:
                yield f"{name}, {curve.name}: {dearest:.2f}"


def main():
    arguments = parse_arguments()
    contestants = choose(arguments)
    curves = run.select(arguments.curve, CURVES, "curve")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, run.on_signal)
    signal.alarm(run.LIMIT_S)
    proxies.prepare_process()
    curves = [within_limits(curve) for curve in curves]
    os.makedirs(run.OUT, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="scale.")
    os.chmod(directory, 0o755)  # nginx's worker runs as another user
    processes = proxies.Processes(f"{run.OUT}/run.log")
    started = time.time()
    try:
        taken = measure(arguments, contestants, curves, directory, processes)
    except (proxies.BenchError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"bench: {error}")
    finally:
        processes.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    names = [proxy.name for proxy in contestants]
    write(taken, curves, names, arguments, started)
    found = list(steep(taken, curves, names))
    for line in found:
        print(f"not flat (at most {FLAT}): {line}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
