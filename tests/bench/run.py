#!/usr/bin/python3
"""Measures porthole beside nginx, HAProxy and Caddy.

One backend, one worker per proxy, every connection a Unix socket. The proxy has one CPU to itself, backend and load
generator share another. For every case the proxies take turns, round after round, so that whatever else the machine
does meets all of them; figures are medians over the rounds. Before anything is measured every proxy must have passed
bodies of all sizes both ways without changing a byte, and must have kept its connection to the backend.

Writes report.md, summary.json, CSV files and SVG plots into build/bench; of a selection, into build/bench/selection.

Examples:
  tests/bench/run.sh --quick
  tests/bench/run.sh --only porthole,nginx --case small32 --rounds 3
  tests/bench/run.sh --binary before=/tmp/porthole.old --only before,porthole --case small32,down100m
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import proxies
import report
import tunnel
from cases import CASES, Bench, measure

OUT = f"{proxies.ROOT}/build/bench"
BACKEND = f"{OUT}/backend"
LIMIT_S = 4000  # the longest a run may take, whatever its options


def pair(text):
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError("expected NAME=VALUE")
    return name, value


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="comma-separated proxies (default: all that are here)")
    parser.add_argument("--case", metavar="NAMES", help=f"comma-separated cases of: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, help="how often each figure is taken (default 5, quick 2)")
    parser.add_argument("--window", type=int, metavar="MS", help="length of one measurement (default 1000, quick 200)")
    parser.add_argument("--quick", action="store_true", help="about a minute instead of ten; coarse")
    parser.add_argument("--binary", action="append", default=[], metavar="NAME=PATH", type=pair,
                        help="another build of porthole to compare; may be repeated")
    parser.add_argument("--config", action="append", default=[], metavar="NAME=PROXY:FILE", type=pair,
                        help="another configuration (see tests/bench/peers) of a proxy; may be repeated")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 5)
    arguments.window = arguments.window or (200 if arguments.quick else 1000)
    return arguments


def select(names, known, what):
    """The wanted ones, in the order given."""
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            sys.exit(f"no {what} {name!r}; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


def choose_proxies(arguments):
    try:
        known = proxies.contestants(dict(arguments.binary), dict(arguments.config))
    except proxies.BenchError as error:
        sys.exit(f"bench: {error}")
    chosen = select(arguments.only, known, "proxy")
    missing = [proxy.name for proxy in chosen if not proxy.available()]
    if missing and arguments.only:
        sys.exit(f"not here: {', '.join(missing)}")
    if missing:
        print(f"NOT MEASURED, because they are not here: {', '.join(missing)}")
    return [proxy for proxy in chosen if proxy.available()]


def rounds_of(case, arguments):
    """Starting is quick and varies much, memory hardly varies."""
    if case.kind == "ready":
        return 5 if arguments.quick else max(11, arguments.rounds)
    is_memory = case.kind in ("memory", "tunnel-memory")
    return min(arguments.rounds, 1 if arguments.quick else 3) if is_memory else arguments.rounds


def make_bench(arguments, processes, directory):
    cpus = sorted(os.sched_getaffinity(0))
    bench = Bench(processes, None, os.path.join(directory, "backend.sock"), cpus[0], cpus[-1], arguments.window,
                  50 if arguments.quick else 200, 2000 if arguments.quick else 20000)
    os.sched_setaffinity(0, {bench.load_cpu})
    bench.backend = processes.start([BACKEND, bench.backend_socket], bench.load_cpu)
    deadline = time.monotonic() + 5
    while not os.path.exists(bench.backend_socket):
        if time.monotonic() > deadline:
            raise proxies.BenchError("the backend does not start")
        time.sleep(0.01)
    return bench


def run_round(bench, number, contestants, cases, arguments, samples):
    """One sample of every case of every proxy; who goes first changes from round to round."""
    order = contestants[number % len(contestants):] + contestants[:number % len(contestants)]
    for case in cases:
        if number >= rounds_of(case, arguments):
            continue
        for proxy in order:
            if proxy.only_cases and case.name not in proxy.only_cases:
                continue
            if case.name in tunnel.NAMES and not bench.tunnels.of(proxy):
                continue
            if case.kind in ("load", "rate", "connect", "h2load") and not proxy.process:
                proxy.start(bench.processes, bench.proxy_cpu)
            sample = measure(bench, proxy, case)
            samples.append({"case": case.name, "proxy": proxy.name, "round": number + 1} | sample)
            report.progress(number, case, proxy)
    for proxy in order:  # new processes in the next round: how memory happens to lie is part of what varies
        proxy.stop(bench.processes)
    bench.tunnels.stop()


def run(arguments, contestants, cases, directory, processes):
    bench = make_bench(arguments, processes, directory)
    for proxy in contestants:
        proxy.configure(directory, bench.backend_socket)
        proxy.start(processes, bench.proxy_cpu)
        proxies.verify(proxy, bench.backend_socket, proxies.BIG // (10 if arguments.quick else 1))
        proxy.stop(processes)
    print(f"verified: {', '.join(proxy.name for proxy in contestants)}")
    tunnel.Tunnels(bench)
    samples = []
    for number in range(max(rounds_of(case, arguments) for case in cases)):
        run_round(bench, number, contestants, cases, arguments, samples)
    report.progress_end()
    return samples


def on_signal(number, _frame):
    signal.signal(number, signal.SIG_IGN)  # what is being tidied up must not be interrupted again
    sys.exit(f"stopped by {signal.Signals(number).name}")


def main():
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, on_signal)
    signal.alarm(LIMIT_S)
    proxies.prepare_process()
    contestants = choose_proxies(arguments)
    cases = select(arguments.case, CASES, "case")
    os.makedirs(OUT, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench.")
    os.chmod(directory, 0o755)  # nginx's worker runs as another user
    processes = proxies.Processes(f"{OUT}/run.log")
    started = time.time()
    try:
        samples = run(arguments, contestants, cases, directory, processes)
    except (proxies.BenchError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"bench: {error}")
    finally:
        processes.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    command = shlex.join(["tests/bench/run.sh", *sys.argv[1:]])
    out = f"{OUT}/selection" if arguments.only or arguments.case else OUT
    os.makedirs(out, exist_ok=True)
    report.write(out, samples, contestants, cases, command, started, arguments)


if __name__ == "__main__":
    main()
