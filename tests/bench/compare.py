"""Whether one build of porthole costs more than another: CPU and instructions per small request.

Programs come in pairs, before and after: two shared builds, say, and two static ones. CPU is measured in turns, round after
round, and judged by the median of the ratios within a round, so that what else the machine does meets both. Instructions are
counted by callgrind: the difference between a run with few requests and one with many, at one connection and at 32 that ask
together. Exit status 1 when a ratio is above the limit.

Example:
  tests/bench/run.sh compare old/porthole build/porthole old/porthole-static build/static/porthole
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import proxies
import report
import run
from cases import CASES, measure

LOADS = ("small1", "small32", "small512")
ASKERS = (1, 32)
FEW, MANY = 500, 3500  # requests under callgrind
# callgrind counts a repeated store once per byte: the library's memset of 32 KiB would be five sixths of a request.
WITHOUT_REP = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=1073741824:glibc.cpu.x86_rep_movsb_threshold=1073741824"}
REQUEST = b"GET /bytes/100 HTTP/1.1\r\nHost: bench\r\n\r\n"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="BEFORE AFTER")
    parser.add_argument("--rounds", type=int, default=11, help="how often each CPU figure is taken (default 11)")
    parser.add_argument("--window", type=int, metavar="MS", default=1000, help="length of one measurement (default 1000)")
    parser.add_argument("--most", type=float, default=1.03, metavar="RATIO", help="the limit (default 1.03)")
    parser.add_argument("--config", default="porthole.json", metavar="FILE",
                        help="of tests/bench/peers (default porthole.json; porthole-smallest.json has nothing but defaults)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 200 ms")
    arguments = parser.parse_args()
    if len(arguments.programs) % 2:
        parser.error("an even number of programs, please: each BEFORE has its AFTER")
    for program in arguments.programs:
        if not os.access(program, os.X_OK):
            parser.error(f"{program}: not a program")
    if arguments.quick:
        arguments.rounds, arguments.window = 3, 200
    return arguments


def make_proxy(name, program, arguments):
    program = os.path.abspath(program)
    return proxies.Proxy(name, arguments.config, [program, "run", "-c", "@CONFIG@"], [program, "version"])


# ---- CPU ----


def sample_cpu(bench, pair, case, turn):
    """Microseconds per request of both; who goes first changes."""
    found = {}
    for proxy in pair if turn % 2 else reversed(pair):
        proxy.start(bench.processes, bench.proxy_cpu)
        found[proxy] = measure(bench, proxy, CASES[case])["cpu_us"]
        proxy.stop(bench.processes)
    return found[pair[0]], found[pair[1]]


def compare_cpu(bench, pairs, rounds):
    """(number of the pair, case) -> list of (before, after)."""
    samples = {(i, case): [] for i in range(len(pairs)) for case in LOADS}
    for turn in range(rounds):
        for i, case in samples:
            samples[i, case].append(sample_cpu(bench, pairs[i], case, turn))
            report.progress(turn, CASES[case], pairs[i][1])
    report.progress_end()
    return samples


# ---- instructions ----


def ask_together(process, path, n_clients, n_requests):
    """The program is stopped while the requests of several clients are written, so that it finds all of them at once, as one
    does that isn't slowed down by being watched."""
    clients = []
    for _ in range(n_clients):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(path)
        clients.append(client)
    for _ in range(n_requests // n_clients):
        if n_clients > 1:
            process.send_signal(signal.SIGSTOP)
        for client in clients:
            client.sendall(REQUEST)
        process.send_signal(signal.SIGCONT)
        for client in clients:
            answer = b""
            while b"\r\n\r\n" not in answer or len(answer) < answer.index(b"\r\n\r\n") + 4 + 100:
                more = client.recv(65536)
                if not more:
                    raise proxies.BenchError("a connection ended under callgrind")
                answer += more
    for client in clients:
        client.close()


def count_instructions(bench, proxy, n_clients, n_requests):
    """Of a whole run with so many requests."""
    log = f"{proxy.config}.callgrind"
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}", *proxy.argv]
    proxy.clear()
    process = bench.processes.start(command, bench.proxy_cpu, stdin=subprocess.DEVNULL, env=proxy.env | WITHOUT_REP)
    deadline = time.monotonic() + 60
    while True:
        try:
            proxy.is_ready()
            break
        except OSError as error:
            if time.monotonic() > deadline or process.poll() is not None:
                raise proxies.BenchError(f"{proxy.name} does not serve under callgrind: see build/bench/run.log") from error
            time.sleep(0.05)
    ask_together(process, proxy.socket, n_clients, n_requests)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    bench.processes.stop(process)
    with open(log, encoding="utf-8") as f:
        found = re.search(r"Collected : (\d+)", f.read())
    if not found:
        raise proxies.BenchError(f"callgrind has counted nothing of {proxy.name}")
    return int(found.group(1))


def instructions_per_request(bench, proxy, n_clients):
    many, few = (count_instructions(bench, proxy, n_clients, n) for n in (MANY, FEW))
    return (many - few) / (MANY // n_clients * n_clients - FEW // n_clients * n_clients)


# ---- telling ----


def verdict(ratio, arguments):
    return "MORE" if ratio > arguments.most else "ok"


def cpu_rows(samples, pairs, arguments):
    for (i, case), found in samples.items():
        ratios = sorted(after / before for before, after in found)
        ratio = statistics.median(ratios)
        quarter = len(ratios) // 4
        yield [f"{pairs[i][1].name}: CPU µs, {CASES[case].title}", f"{statistics.median(f[0] for f in found):.2f}",
               f"{statistics.median(f[1] for f in found):.2f}", f"{ratio:.3f}",
               f"{ratios[quarter]:.3f} - {ratios[-1 - quarter]:.3f}", verdict(ratio, arguments)]


def make_repeatable(bench):
    """From here on all is on one processor, where the backend goes before porthole, and the client never before either: in how
    many rounds of its loop porthole finds what it waits for is then the same each time, whatever else the machine does."""
    for pid in (0, bench.backend.pid):
        os.sched_setaffinity(pid, {bench.proxy_cpu})
    try:
        os.sched_setscheduler(bench.backend.pid, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except PermissionError:
        print("not allowed to say who goes first: instructions vary by some percent")


def instruction_rows(bench, pairs, arguments):
    make_repeatable(bench)
    for pair in pairs:
        for n_clients in ASKERS:
            before, after = (instructions_per_request(bench, proxy, n_clients) for proxy in pair)
            together = "one after the other" if n_clients == 1 else f"{n_clients} together"
            yield [f"{pair[1].name}: instructions, {together}", f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.3f}", "",
                   verdict(after / before, arguments)]


def compare(arguments, directory, processes):
    bench = run.make_bench(arguments, processes, directory)
    pairs = []
    for i in range(0, len(arguments.programs), 2):
        before, after = arguments.programs[i:i + 2]
        pairs.append((make_proxy(f"before{i // 2 + 1}", before, arguments), make_proxy(f"pair {i // 2 + 1}", after, arguments)))
        print(f"pair {i // 2 + 1}: {before} -> {after}")
        for proxy in pairs[-1]:
            proxy.configure(directory, bench.backend_socket)
            proxy.start(processes, bench.proxy_cpu)
            proxies.verify(proxy, bench.backend_socket, proxies.BIG // 10)
            proxy.stop(processes)
    rows = [*cpu_rows(compare_cpu(bench, pairs, arguments.rounds), pairs, arguments), *instruction_rows(bench, pairs, arguments)]
    print(report.table(["per request", "before", "after", "ratio", "middle half", f"at most {arguments.most}"], rows))
    return any(row[-1] == "MORE" for row in rows)


def main():
    arguments = parse_arguments()
    if not shutil.which("valgrind"):
        sys.exit("compare: valgrind is missing, which counts instructions (make deps-test)")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, run.on_signal)
    signal.alarm(run.LIMIT_S)
    proxies.prepare_process()
    directory = tempfile.mkdtemp(prefix="bench.")
    os.makedirs(run.OUT, exist_ok=True)
    processes = proxies.Processes(f"{run.OUT}/run.log")
    begin = time.monotonic()
    try:
        more = compare(arguments, directory, processes)
    except (proxies.BenchError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"compare: {error}")
    finally:
        processes.stop_all()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(1 if more else 0)


if __name__ == "__main__":
    main()
