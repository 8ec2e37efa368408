"""Tunnels: CPU for the bytes that go through an upgrade of HTTP or a stream listener, and memory of idle ones.

A proxy has a process of its own for them, with another configuration: what is measured of requests stays as it was."""

import json
import os
import socket
import statistics
import subprocess
import time

import cases
import procs
from cases import Case
from proxies import ROOT, BenchError, Proxy

TOOL = f"{ROOT}/build/bench/tunnel"
TEMPLATES = {"porthole.json": "porthole-tunnel.json", "haproxy.cfg": "haproxy-tunnel.cfg",
             "haproxy-64k.cfg": "haproxy-64k-tunnel.cfg"}
HELD = 1000

CASES = [
    Case("stream1", "stream, 1 connection, one way", "tunnel", "/sink", 1, via="stream"),
    Case("stream16", "stream, 16 connections, one way", "tunnel", "/sink", 16, via="stream"),
    Case("stream1echo", "stream, 1 connection, echo", "tunnel", "/echo", 1, via="stream"),
    Case("stream16echo", "stream, 16 connections, echo", "tunnel", "/echo", 16, via="stream"),
    Case("upgrade1", "upgrade, 1 connection, one way", "tunnel", "/sink", 1, via="upgrade"),
    Case("upgrade16", "upgrade, 16 connections, one way", "tunnel", "/sink", 16, via="upgrade"),
    Case("upgrade1echo", "upgrade, 1 connection, echo", "tunnel", "/echo", 1, via="upgrade"),
    Case("upgrade16echo", "upgrade, 16 connections, echo", "tunnel", "/echo", 16, via="upgrade"),
    Case("streams1000", "1,000 idle streams", "tunnel-memory", "/echo", HELD, via="stream"),
    Case("upgrades1000", "1,000 idle upgrades", "tunnel-memory", "/echo", HELD, via="upgrade"),
]
NAMES = tuple(case.name for case in CASES)


class TunnelProxy(Proxy):
    """A proxy's process for tunnels."""

    def __init__(self, proxy):
        super().__init__(proxy.name, TEMPLATES[proxy.template], proxy.command, proxy.version_command, proxy.environment)

    def prepare(self, bench):
        """Its configuration, beside that of its other process."""
        directory = os.path.join(os.path.dirname(bench.backend_socket), "tunnels")
        os.makedirs(directory, exist_ok=True)
        self.configure(directory, bench.tunnel_socket)

    def understands(self):
        """An older build of porthole may not know what a stream is."""
        if not self.template.startswith("porthole"):
            return True
        return subprocess.run([self.argv[0], "check", "-c", self.config], capture_output=True, timeout=20).returncode == 0

    def address(self, via):
        return f"{self.socket}.{via}"

    def clear(self):
        for via in ("stream", "upgrade"):
            if os.path.exists(self.address(via)):
                os.unlink(self.address(via))

    def is_ready(self):
        """Opens a tunnel of each kind; OSError when it does not come about."""
        for via in ("stream", "upgrade"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(self.address(via))
                sock.sendall(b"GET /echo HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n")
                answer = sock.recv(1000)
                if not answer.startswith(b"HTTP/1.1 101"):
                    raise OSError(f"{via}: {answer[:100]}")


class Tunnels:
    """The target's process and the proxies' for the cases of a run."""

    def __init__(self, bench):
        self.bench, self.proxies = bench, {}
        bench.tunnel_socket = os.path.join(os.path.dirname(bench.backend_socket), "tunnel.sock")
        bench.tunnels = self
        bench.processes.start([TOOL, "serve", bench.tunnel_socket], bench.load_cpu)
        deadline = time.monotonic() + 5
        while not os.path.exists(bench.tunnel_socket):
            if time.monotonic() > deadline:
                raise BenchError("the tunnels' target does not start")
            time.sleep(0.01)

    def of(self, proxy):
        """Its process for tunnels, None when it cannot have one."""
        if proxy.name not in self.proxies:
            ours = TunnelProxy(proxy) if proxy.template in TEMPLATES else None
            if ours:
                ours.prepare(self.bench)
            self.proxies[proxy.name] = ours if ours and ours.understands() else None
        return self.proxies[proxy.name]

    def stop(self):
        for proxy in self.proxies.values():
            if proxy:
                proxy.stop(self.bench.processes)


class Tool(cases.Blast):
    """The load's end of the tunnels; it has the marks of blast."""

    program = TOOL


def measure_tunnel(bench, proxy, case):
    ours = bench.tunnels.of(proxy)
    if not ours.process:
        ours.start(bench.processes, bench.proxy_cpu)
    tool = Tool(bench, ["load", ours.address(case.via), case.path, case.connections, bench.window_ms, bench.warm_ms])
    tool.line()
    window = cases.Window(bench, ours.pids)
    tool.go_on()
    result = json.loads(tool.line())
    cpu_ns, sample = window.close()
    rss_kib = procs.rss_kib(ours.pids)
    tool.go_on()
    tool.end()
    if not result["bytes"]:
        raise BenchError(f"{proxy.name}, {case.title}: nothing went through")
    return sample | {"cpu_s_per_gb": cpu_ns / result["bytes"], "gb_per_s": result["bytes"] / result["seconds"] / 1e9,
                     "rss_kib": rss_kib}


def measure_memory(bench, proxy, case):
    """On a fresh process, as in cases.measure_memory; what a tunnel costs is reckoned from the second on."""
    ours = bench.tunnels.of(proxy)
    ours.stop(bench.processes)
    ours.start(bench.processes, bench.proxy_cpu)
    tool = Tool(bench, ["idle", ours.address(case.via), case.connections])
    tool.line()
    time.sleep(2)
    one = procs.memory_kib(ours.pids)
    tool.go_on()
    tool.line()
    time.sleep(2)
    sample = procs.memory_kib(ours.pids)
    tool.go_on()
    result = json.loads(tool.line())
    tool.go_on()
    tool.end()
    if result != {"held": case.connections}:
        raise BenchError(f"{proxy.name}: not all tunnels were held: {result}")
    return sample | {"kib_each": (sample["rss_kib"] - one["rss_kib"]) / (case.connections - 1)}


# ---- what people read ----


def beside(summary, name, proxy, metric):
    """A figure over HAProxy's in tcp mode, for the same shape of load; None when one of them is missing."""
    plain = name.replace("upgrade", "stream")
    peer = summary.get(plain, {}).get("haproxy", {}).get(metric)
    return summary[name][proxy][metric] / peer if peer else None


def worst(summary, proxy):
    """Of all shapes of load, CPU over HAProxy's in tcp mode; KeyError when there is none."""
    found = [beside(summary, name, proxy, "cpu_s_per_gb") for name in NAMES
             if proxy in summary.get(name, {}) and "cpu_s_per_gb" in summary[name][proxy]]
    if not found or None in found:
        raise KeyError("cpu_s_per_gb")
    return max(found)


def typical(summary, proxy):
    """The median over the shapes of load."""
    found = [beside(summary, name, proxy, "cpu_s_per_gb") for name in NAMES
             if proxy in summary.get(name, {}) and "cpu_s_per_gb" in summary[name][proxy]]
    if not found or None in found:
        raise KeyError("cpu_s_per_gb")
    return statistics.median(found)


def rows(summary, kind, columns, ratio_metric, number):
    made = []
    for case in CASES:
        if case.kind != kind:
            continue
        for proxy, metrics in summary.get(case.name, {}).items():
            made.append([f"{case.name} {proxy}"] + [number(metrics[m] * scale, digits) for m, scale, digits in columns]
                        + [number(beside(summary, case.name, proxy, ratio_metric))])
    return made


cases.CASES.update({case.name: case for case in CASES})
cases.MEASURES.update({"tunnel": measure_tunnel, "tunnel-memory": measure_memory})
