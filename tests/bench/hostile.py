"""What a good client notices of hostile neighbours: its latency beside 300 of a kind, compared with that beside 300 ordinary ones.

The good client has one request under way at any time; so has each of the ordinary ones. porthole has one CPU to itself;
good client and backend have precedence over the others on the other one. Kinds take turns, round after round; figures are medians.
Exit status 1 when the p99 beside a kind is more than three times that beside ordinary clients.

Example:
  tests/bench/run.sh hostile build/porthole --only chunks1,tunnel1 --rounds 3
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import proxies
import report
import run
from cases import Blast, Window

HOSTILE = f"{run.OUT}/hostile"
CONFIG = "porthole-hostile.json"
ORDINARY = "ordinary"
NICE = -10


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    target: str = "sink"  # what its requests reach
    stream: bool = False


KINDS = {kind.name: kind for kind in [
    Kind(ORDINARY, "ordinary clients: a GET after the other"),
    Kind("chunks1", "uploads in chunks of 1 byte, as many as fit"),
    Kind("chunks64", "uploads in chunks of 64 bytes, as many as fit"),
    Kind("chunk-by-chunk", "uploads in chunks of 1 byte, each sent by itself"),
    Kind("drip-body", "bodies that drip, a byte every 2 ms"),
    Kind("drip-head", "heads that drip, a byte every 2 ms"),
    Kind("bulk-body", "bodies without end, as much as fits"),
    Kind("trailers", "uploads with 50 trailers, in pieces of 7 bytes", "trailers"),
    Kind("pipelined", "pipelined requests, as many as fit"),
    Kind("connect", "connections made and closed"),
    Kind("answer1", "answers in chunks of 1 byte, without end", "answer1"),
    Kind("bulk-answer", "answers without end, as much as fits", "bulk-answer"),
    Kind("read1", "answers without end, taken byte by byte", "bulk-answer"),
    Kind("interim", "60 interim heads before each answer", "interim"),
    Kind("tunnel-stalled", "tunnels whose target does not read", "stall", True),
    Kind("tunnel1", "tunnels, a byte with each send", "sink", True),
    Kind("tunnel-bulk", "tunnels, as much as fits", "sink", True),
]}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh hostile", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=f"{proxies.ROOT}/build/porthole")
    parser.add_argument("--only", metavar="KINDS", help=f"comma-separated, of: {', '.join(KINDS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind is measured (default 5)")
    parser.add_argument("--window", type=int, metavar="MS", default=1000, help="length of one measurement (default 1000)")
    parser.add_argument("--neighbours", type=int, metavar="N", default=300, help="how many (default 300)")
    parser.add_argument("--most", type=float, default=3.0, metavar="RATIO", help="the limit (default 3)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 500 ms")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.window = 2, 500
    return arguments


def start_quietly(bench, command, **options):
    """On the CPU of the load, behind the good client and the backend."""
    process = bench.processes.start(command, bench.load_cpu, **options)
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return process


def start_neighbours(bench, proxy, kind, arguments):
    if kind.name == ORDINARY:
        command = [Blast.program, "load", proxy.socket, "/bytes/100", arguments.neighbours, 60000, 0, -1]
        process = start_quietly(bench, list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        process.stdin.write(b"\n")
        process.stdin.flush()
        return process
    return start_quietly(bench, [HOSTILE, "client", proxy.socket + (".stream" if kind.stream else ""), str(arguments.neighbours),
                                 kind.name])


def sample_beside(bench, proxy, kind, arguments):
    """The good client's latencies, and how busy porthole was."""
    target_socket = os.path.join(os.path.dirname(proxy.socket), proxy.name, "hostile.sock")
    if os.path.exists(target_socket):
        os.unlink(target_socket)
    target = start_quietly(bench, [HOSTILE, "target", target_socket, kind.target])
    proxy.start(bench.processes, bench.proxy_cpu)
    blast = Blast(bench, ["load", proxy.socket, "/bytes/100", 1, arguments.window, 0, -1])
    neighbours = start_neighbours(bench, proxy, kind, arguments)
    blast.line()
    time.sleep(0.5)  # for the neighbours to be at it
    window = Window(bench, proxy.pids)
    blast.go_on()
    result = json.loads(blast.line())
    _, sample = window.close()
    if neighbours.poll() is not None or target.poll() is not None:
        raise proxies.BenchError(f"{kind.name}: the neighbours have left; see build/bench/run.log")
    blast.go_on()
    blast.end()
    for process in (neighbours, target):
        bench.processes.stop(process)
    proxy.stop(bench.processes)
    if result["errors"] or not result["requests"]:
        raise proxies.BenchError(f"beside {kind.name}: {result}")
    return result | sample


def rows_of(samples, arguments):
    """Of each kind the medians, and the verdict."""
    def median(kind, key):
        return statistics.median(sample[key] for sample in samples[kind.name])

    ordinary = KINDS[ORDINARY]
    for kind in KINDS.values():
        if not samples.get(kind.name):
            continue
        ratio = median(kind, "p99_us") / median(ordinary, "p99_us")
        yield [kind.title, f"{median(kind, 'p50_us') / 1000:.2f}", f"{median(kind, 'p99_us') / 1000:.2f}",
               f"{median(kind, 'max_us') / 1000:.1f}", f"{median(kind, 'busy') * 100:.0f} %", f"{ratio:.2f}",
               "MORE" if ratio > arguments.most else "ok"]


def measure(arguments, kinds, directory, processes):
    bench = run.make_bench(argparse.Namespace(window=arguments.window, quick=True), processes, directory)
    program = os.path.abspath(arguments.program)
    proxy = proxies.Proxy("porthole", CONFIG, [program, "run", "-c", "@CONFIG@"], [program, "version"])
    proxy.configure(directory, bench.backend_socket)
    samples = {kind.name: [] for kind in kinds}
    for _ in range(arguments.rounds):
        for kind in kinds:
            samples[kind.name].append(sample_beside(bench, proxy, kind, arguments))
    rows = list(rows_of(samples, arguments))
    print(report.table([f"beside {arguments.neighbours}", "p50, ms", "p99, ms", "longest, ms", "porthole's CPU", "p99 / ordinary",
                        f"at most {arguments.most:g}"], rows))
    return any(row[-1] == "MORE" for row in rows)


def main():
    arguments = parse_arguments()
    kinds = run.select(arguments.only, KINDS, "kind")
    if KINDS[ORDINARY] not in kinds:
        kinds.insert(0, KINDS[ORDINARY])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, run.on_signal)
    signal.alarm(run.LIMIT_S)
    proxies.prepare_process()
    os.makedirs(run.OUT, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench.")
    processes = proxies.Processes(f"{run.OUT}/run.log")
    try:
        more = measure(arguments, kinds, directory, processes)
    except (proxies.BenchError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"bench: {error}")
    finally:
        processes.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if more else 0)


if __name__ == "__main__":
    main()
