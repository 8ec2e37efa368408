"""What is measured. Each measure takes one sample of one proxy and returns it as a dictionary."""

import json
import re
import select
import subprocess
import time
from dataclasses import dataclass

import procs
from proxies import BIG, ROOT, BenchError, stats

BLAST = f"{ROOT}/build/bench/blast"
MAX_WAIT_S = 60


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    kind: str  # load, rate, connect, h2load, memory, ready; tunnel, tunnel-memory (tunnel.py)
    path: str = "/bytes/100"
    connections: int = 0
    upload: int = -1
    size: int = 0  # bytes of body per request that count as transferred
    idle: str = ""  # memory: used or fresh
    via: str = ""  # tunnel: stream or upgrade
    rate: int = 0  # rate: requests a second


CASES = {case.name: case for case in [
    Case("small1", "100-byte GET, 1 connection", "load", connections=1),
    Case("small32", "100-byte GET, 32 connections", "load", connections=32),
    Case("small250", "100-byte GET, 250 connections", "load", connections=250),
    Case("small512", "100-byte GET, 512 connections", "load", connections=512),
    Case("rate2k", "100-byte GET, 2,000 a second, 32 connections", "rate", connections=32, rate=2000),
    Case("rate8k", "100-byte GET, 8,000 a second, 32 connections", "rate", connections=32, rate=8000),
    Case("connect32", "100-byte GET, a connection for each, 32 at once", "connect", connections=32),
    Case("h2load32", "100-byte GET, 32 connections, by h2load", "h2load", connections=32),
    Case("down1k", "1 KiB down", "load", "/bytes/1024", 32, size=1024),
    Case("down64k", "64 KiB down", "load", "/bytes/65536", 32, size=65536),
    Case("down64k1000", "64 KiB down, 1,000 connections", "load", "/bytes/65536", 1000, size=65536),
    Case("down1m", "1 MiB down", "load", "/bytes/1048576", 8, size=1 << 20),
    Case("down100m", "100 MiB down", "load", f"/bytes/{BIG}", 2, size=BIG),
    Case("up1k", "1 KiB up", "load", "/upload", 32, 1024, 1024),
    Case("up64k", "64 KiB up", "load", "/upload", 32, 65536, 65536),
    Case("up64k1000", "64 KiB up, 1,000 connections", "load", "/upload", 1000, 65536, 65536),
    Case("up100m", "100 MiB up", "load", "/upload", 2, BIG, BIG),
    Case("idle", "no connection, one request served", "memory"),
    Case("idle1000", "1,000 idle connections, one request made on each", "memory", connections=1000, idle="used"),
    Case("fresh1000", "1,000 connections that have sent nothing", "memory", connections=1000, idle="fresh"),
    Case("ready", "exec to first served request", "ready"),
]}


@dataclass
class Bench:
    """What every measure needs to know about the run."""
    processes: object
    backend: object  # its process
    backend_socket: str
    proxy_cpu: int
    load_cpu: int
    window_ms: int
    warm_ms: int
    h2load_requests: int
    tunnel_socket: str = ""  # of the tunnels' target
    tunnels: object = None  # see tunnel.py


class Blast:
    """A blast process that stops at the marks of its protocol."""

    program = BLAST

    def __init__(self, bench, arguments):
        self.bench = bench
        self.process = bench.processes.start([self.program, *map(str, arguments)], bench.load_cpu, text=True, bufsize=1,
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self, while_waiting=lambda: None):
        """The next line it prints."""
        deadline = time.monotonic() + MAX_WAIT_S
        while not select.select([self.process.stdout], [], [], 0.1)[0]:
            while_waiting()
            if time.monotonic() > deadline:
                raise BenchError("the load generator is stuck")
        line = self.process.stdout.readline()
        if not line:
            raise BenchError("the load generator failed; see build/bench/run.log")
        return line

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
        self.bench.processes.stop(self.process)


class Window:
    """CPU time of the proxy, and of everybody else on its CPU, over a stretch of time."""

    def __init__(self, bench, pids):
        self.bench, self.pids = bench, pids
        self.start_ns = time.monotonic_ns()
        self.cpu, self.busy = procs.cpu_ns(pids), procs.busy_ns(bench.proxy_cpu)

    def close(self):
        elapsed_ns = time.monotonic_ns() - self.start_ns
        cpu = procs.cpu_ns(self.pids) - self.cpu
        others = procs.busy_ns(self.bench.proxy_cpu) - self.busy - cpu
        return cpu, {"busy": round(cpu / elapsed_ns, 3), "others": round(max(0, others) / elapsed_ns, 3)}


def _per_request(case, cpu_ns, requests, seconds):
    sample = {"cpu_us": cpu_ns / 1000 / requests, "rps": requests / seconds}
    if case.size:
        sample["cpu_s_per_gb"] = cpu_ns / (requests * case.size)
        sample["gb_per_s"] = requests * case.size / seconds / 1e9
    return sample


def measure_load(bench, proxy, case):
    """Closed loops, an open one at a rate, or a connection for each request: what blast can do."""
    more = {"load": [case.upload], "rate": [case.rate], "connect": []}[case.kind]
    blast = Blast(bench, [case.kind, proxy.socket, case.path, case.connections, bench.window_ms, bench.warm_ms, *more])
    blast.line()
    accepted = stats(bench.backend_socket)["accepted"]
    rss = [procs.rss_kib(proxy.pids)]
    window = Window(bench, proxy.pids)
    blast.go_on()
    result = json.loads(blast.line(lambda: rss.append(procs.rss_kib(proxy.pids))))
    cpu_ns, sample = window.close()
    rss.append(procs.rss_kib(proxy.pids))
    opened = stats(bench.backend_socket)["accepted"] - accepted - 1
    blast.go_on()
    blast.end()
    if result["errors"] or not result["requests"]:
        raise BenchError(f"{proxy.name}, {case.title}: {result}")
    return sample | result | _per_request(case, cpu_ns, result["requests"], result["seconds"]) | {
        "rss_kib": max(rss), "backend_opened": opened}


def measure_h2load(bench, proxy, case):
    requests = bench.h2load_requests
    window = Window(bench, proxy.pids)
    command = ["h2load", "--h1", "-B", f"unix:{proxy.socket}", "-c", str(case.connections), "-n", str(requests),
               f"http://localhost{case.path}"]
    process = bench.processes.start(command, bench.load_cpu, text=True, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=MAX_WAIT_S)
    cpu_ns, sample = window.close()
    bench.processes.stop(process)
    found = re.search(r"finished in ([\d.]+)(ms|s), ([\d.]+) req/s", output)
    if not found or f"{requests} succeeded, 0 failed, 0 errored" not in output:
        raise BenchError(f"{proxy.name}: h2load: {output}")
    seconds = float(found.group(1)) / (1000 if found.group(2) == "ms" else 1)
    return sample | {"requests": requests, "seconds": seconds} | _per_request(case, cpu_ns, requests, seconds)


def measure_memory(bench, proxy, case):
    """On a fresh process: memory doesn't shrink again after load."""
    proxy.stop(bench.processes)
    proxy.start(bench.processes, bench.proxy_cpu)
    if case.connections:
        blast = Blast(bench, ["idle", proxy.socket, case.path, case.connections, case.idle])
        blast.line()
    time.sleep(2)  # idle is seconds: a proxy may give memory back once a connection has rested
    sample = procs.memory_kib(proxy.pids)
    if case.connections:
        blast.go_on()
        result = json.loads(blast.line())
        blast.go_on()
        blast.end()
        if result != {"requests": case.connections, "errors": 0, "reconnects": 0}:
            raise BenchError(f"{proxy.name}: not all connections were held: {result}")
    return sample


def measure_ready(bench, proxy, case):
    """Starts and ends a process of its own; the proxy must not be running."""
    proxy.stop(bench.processes)
    proxy.clear()
    command = [BLAST, "ready", proxy.socket, case.path, str(bench.proxy_cpu), *proxy.argv]
    process = bench.processes.start(command, bench.load_cpu, text=True, stdout=subprocess.PIPE, env=proxy.env)
    output, _ = process.communicate(timeout=MAX_WAIT_S)
    bench.processes.stop(process)
    result = json.loads(output or '{"served": false}')
    if not result["served"]:
        raise BenchError(f"{proxy.name} did not become ready")
    return {"ready_ms": result["us"] / 1000}


MEASURES = {"load": measure_load, "rate": measure_load, "connect": measure_load, "h2load": measure_h2load, "memory": measure_memory,
            "ready": measure_ready}


def measure(bench, proxy, case):
    return MEASURES[case.kind](bench, proxy, case)
