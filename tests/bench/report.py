"""From samples to what people read: tables, CSV files, plots."""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import gate
import procs
import tunnel
from cases import CASES

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = ("nginx", "haproxy")
DISTURBED = 0.05  # share of the proxy's CPU that others may take before it is said


def progress(number, case, proxy):
    if sys.stdout.isatty():
        print(f"\r\033[Kround {number + 1}: {case.name} {proxy.name}", end="", flush=True)


def progress_end():
    if sys.stdout.isatty():
        print("\r\033[K", end="")


def medians(samples):
    """case -> proxy -> metric -> median over the rounds."""
    collected = {}
    for sample in samples:
        metrics = collected.setdefault(sample["case"], {}).setdefault(sample["proxy"], {})
        for metric, value in sample.items():
            if metric not in ("case", "proxy", "round"):
                metrics.setdefault(metric, []).append(value)
    return {case: {proxy: {metric: statistics.median(values) for metric, values in metrics.items()}
                   for proxy, metrics in by_proxy.items()} for case, by_proxy in collected.items()}


def ratio(by_proxy, proxy, peer, metric):
    """A proxy's figure over a peer's, or None."""
    if peer not in by_proxy or not by_proxy[peer].get(metric):
        return None
    return by_proxy[proxy][metric] / by_proxy[peer][metric]


def ratio_to_best(by_proxy, proxy, metric):
    """A figure over the best of nginx and HAProxy of whatever release and tuning, or None."""
    peers = [metrics[metric] for name, metrics in by_proxy.items()
             if name.partition("-")[0] in PEERS and metrics.get(metric)]
    return by_proxy[proxy][metric] / min(peers) if peers else None


def number(value, digits=2):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}"


def table(header, rows):
    """Markdown, the first column left, the others right, padded so that it reads well in a terminal too."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    pad = [lambda text, w: text.ljust(w)] + [lambda text, w: text.rjust(w)] * (len(header) - 1)
    lines = ["| " + " | ".join(pad[i](row[i], widths[i]) for i in range(len(header))) + " |" for row in cells]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def rows_of(summary, cases, columns, ratio_of):
    """One row per case and proxy: its figures, then the ratio of one of them to each peer."""
    rows = []
    for case in cases:
        by_proxy = summary[case.name]
        for proxy, metrics in by_proxy.items():
            rows.append([f"{case.name} {proxy}"] + [number(metrics[m] * scale, digits) for m, scale, digits in columns]
                        + [number(ratio(by_proxy, proxy, peer, ratio_of)) for peer in PEERS]
                        + [number(ratio_to_best(by_proxy, proxy, ratio_of))])
    return rows


def section(title, text, header, rows):
    return f"## {title}\n\n{text}\n\n{table(header + [f'/ {peer}' for peer in PEERS] + ['/ best'], rows)}\n\n" if rows else ""


def small_section(summary, cases):
    chosen = [case for case in cases if case.kind in ("load", "h2load") and not case.size]
    loads = [case for case in chosen if case.kind == "load"]
    columns = [("cpu_us", 1, 2), ("rps", 1, 0), ("p50_us", 1, 0), ("p99_us", 1, 0), ("p999_us", 1, 0), ("busy", 100, 0)]
    text = section("Small requests", "A GET with a 100-byte answer. CPU busy: the proxy's share of its CPU; where it "
                   "is well below 100, requests/s is what load generator and backend can do, not the proxy. The last "
                   "columns are ratios of CPU per request.",
                   ["case, proxy", "CPU µs/request", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU busy %"],
                   rows_of(summary, loads, columns, "cpu_us"))
    text += section("At a fixed rate", "The same below what any of them can do, each request due at its time, whatever has "
                    "become of those before it: what a user waits. The last columns are ratios of p99.",
                    ["case, proxy", "CPU µs/request", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU busy %"],
                    rows_of(summary, [case for case in cases if case.kind == "rate"], columns, "p99_us"))
    text += section("New connections", "A connection for each request, which says that it is the last.",
                    ["case, proxy", "CPU µs/request", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU busy %"],
                    rows_of(summary, [case for case in cases if case.kind == "connect"], columns, "cpu_us"))
    text += section("Counter-check", "The same through a load generator that isn't ours (connecting included).",
                    ["case, proxy", "CPU µs/request", "requests/s", "CPU busy %"],
                    rows_of(summary, [case for case in chosen if case.kind == "h2load"],
                            [columns[0], columns[1], columns[-1]], "cpu_us"))
    return text


def body_section(summary, cases):
    columns = [("cpu_us", 1, 1), ("cpu_s_per_gb", 1000, 1), ("gb_per_s", 1, 2), ("p50_us", 1, 0), ("p99_us", 1, 0),
               ("busy", 100, 0)]
    return section("Bodies", "Up: POST with Content-Length. Down: GET. 32 connections, 2 for 100 MiB, else as named. The last columns "
                   "are ratios of CPU.",
                   ["case, proxy", "CPU µs/request", "CPU ms/GB", "GB/s", "p50 µs", "p99 µs", "CPU busy %"],
                   rows_of(summary, [case for case in cases if case.size], columns, "cpu_us"))


def memory_section(summary, cases):
    mib = 1 / 1024
    text = section("Memory", "Sum over the proxy's processes, in MiB. Pss counts shared pages by share.",
                   ["case, proxy", "RSS", "anonymous", "Pss"],
                   rows_of(summary, [case for case in cases if case.kind == "memory"],
                           [("rss_kib", mib, 1), ("anon_kib", mib, 1), ("pss_kib", mib, 1)], "rss_kib"))
    return text + section("Memory under load", "The largest resident size seen during the case, in MiB; one process "
                          "serves all the cases of a round, and memory rarely shrinks again.",
                          ["case, proxy", "RSS"],
                          rows_of(summary, [case for case in cases if case.kind == "load"],
                                  [("rss_kib", mib, 1)], "rss_kib"))


def ready_section(summary, cases):
    return section("Start", "From exec to the first request that was served with 200.", ["case, proxy", "ms"],
                   rows_of(summary, [case for case in cases if case.kind == "ready"], [("ready_ms", 1, 1)],
                           "ready_ms"))


def tunnel_section(summary, _cases):
    def one(title, text, header, kind, columns, metric):
        rows = tunnel.rows(summary, kind, columns, metric, number)
        return f"## {title}\n\n{text}\n\n{table(header + ['/ haproxy tcp'], rows)}\n\n" if rows else ""

    return one("Tunnels", "Bytes through a stream listener, and through an upgrade of HTTP; an echo counts both ways. HAProxy's "
               "streams are mode tcp, and the last column is the ratio of CPU to these.",
               ["case, proxy", "CPU ms/GB", "GB/s", "CPU busy %"], "tunnel",
               [("cpu_s_per_gb", 1000, 1), ("gb_per_s", 1, 2), ("busy", 100, 0)], "cpu_s_per_gb") + one(
               "Idle tunnels", "1,000 of them, each of which has moved a few bytes both ways.",
               ["case, proxy", "KiB each", "RSS MiB", "anonymous MiB"], "tunnel-memory",
               [("kib_each", 1, 2), ("rss_kib", 1 / 1024, 1), ("anon_kib", 1 / 1024, 1)], "kib_each")


def remarks(summary):
    """What a reader must know before believing the figures."""
    found = []
    others = [m["others"] for by_proxy in summary.values() for m in by_proxy.values() if "others" in m]
    if others and statistics.median(others) > DISTURBED:
        found.append("Disturbed: other programs or the hypervisor took "
                     f"{statistics.median(others):.0%} of the proxy's CPU (median; at worst {max(others):.0%}).")
    for case, by_proxy in summary.items():
        for proxy, metrics in by_proxy.items():
            if metrics.get("backend_opened", 0) > 2 * CASES[case].connections + 16:
                found.append(f"{case}, {proxy}: {metrics['backend_opened']:.0f} new connections to the backend.")
            if metrics.get("reconnects", 0) > 0 and CASES[case].kind != "connect":
                found.append(f"{case}, {proxy}: closed {metrics['reconnects']:.0f} client connections.")
    return found


def gate_section(summary):
    rows = [[what, text, limit, verdict] for what, text, limit, verdict in gate.judge(summary) if verdict != "?"]
    return f"## Goals\n\n{table(['goal', 'measured', 'limit', 'verdict'], rows)}\n\n" if rows else ""


def write_samples(path, samples):
    first = [name for name in ("case", "curve", "point", "proxy", "round") if name in samples[0]]
    names = first + sorted({name for sample in samples for name in sample} - set(first))
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, names)
        writer.writeheader()
        writer.writerows(samples)


SMALL = [("1", "small1"), ("32", "small32"), ("250", "small250"), ("512", "small512")]
BODIES = [("1 KiB down", "down1k"), ("64 KiB down", "down64k"), ("100 MiB down", "down100m"),
          ("1 KiB up", "up1k"), ("64 KiB up", "up64k"), ("100 MiB up", "up100m")]
MEMORY = [("idle", "idle"), ("1000 idle", "idle1000"), ("1000 silent", "fresh1000"), ("512 busy", "small512"),
          ("100 MiB down", "down100m"), ("100 MiB up", "up100m")]

# name, heading, name of the x axis, of the y axis, logarithmic, groups of bars (label, case, metric), scale
CHARTS = [
    ("cpu", "CPU per small request", "connections", "µs", 0, [(x, case, "cpu_us") for x, case in SMALL], 1),
    ("latency", "Latency of small requests", "connections, percentile", "µs (logarithmic)", 1,
     [(f"{x} {p}", case, f"{p}_us") for x, case in SMALL for p in ("p50", "p99")], 1),
    ("memory", "Resident memory", "", "MiB", 0, [(x, case, "rss_kib") for x, case in MEMORY], 1 / 1024),
    ("bodies", "CPU per GB of body", "", "ms (logarithmic)", 1, [(x, case, "cpu_s_per_gb") for x, case in BODIES],
     1000),
]


def plot(out, summary, proxies):
    """Draws what there are figures for: a row per group of bars, a column per proxy, "?" for a figure not taken."""
    for name, heading, x_name, y_name, logarithmic, groups, scale in CHARTS:
        groups = [group for group in groups if group[1] in summary]
        data, chart = f"{out}/plot-{name}.csv", f"{out}/{name}.svg"
        if not groups:
            continue
        drawn = [proxy for proxy in proxies if any(proxy in summary[case] for _label, case, _metric in groups)]
        with open(data, "w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow([x_name, *drawn])
            for label, case, metric in groups:
                figures = [summary[case].get(proxy, {}).get(metric) for proxy in drawn]
                writer.writerow([label, *("?" if value is None else round(value * scale, 4) for value in figures)])
        settings = (f"data='{data}'; chart='{chart}'; heading='{heading}'; xname='{x_name}'; yname='{y_name}'; "
                    f"n={len(drawn)}; logarithmic={logarithmic}")
        subprocess.run(["gnuplot", "-e", settings, f"{HERE}/plot.gp"], check=True, timeout=30)


def write(out, samples, contestants, cases, command, started, arguments):
    summary = medians(samples)
    names = [proxy.name for proxy in contestants]
    cases = [case for case in cases if case.name in summary]
    summary = {case.name: {name: summary[case.name][name] for name in names if name in summary[case.name]}
               for case in cases}  # in the order of the options, not of the first round
    sections = "".join( [gate_section(summary)] + [
        make(summary, cases) for make in (small_section, body_section, memory_section, tunnel_section, ready_section)])
    notes = remarks(summary)
    about = [f"- Machine: {procs.machine()}", f"- Load average at the end: {os.getloadavg()[0]:.2f}",
             f"- Command: `{command}`",
             f"- {time.strftime('%Y-%m-%d %H:%M', time.localtime(started))}, {time.time() - started:.0f} s, "
             f"{arguments.rounds} rounds of {arguments.window} ms; figures are medians",
             *(f"- {proxy.name}: {proxy.version()}" for proxy in contestants),
             *(f"- **Note:** {note}" for note in notes)]
    with open(f"{out}/report.md", "w") as f:
        f.write("# porthole beside its peers\n\n" + "\n".join(about) + "\n\n" + sections)
    with open(f"{out}/summary.json", "w") as f:
        json.dump(summary, f, indent=1)
    write_samples(f"{out}/samples.csv", samples)
    print(sections)
    for note in notes:
        print(f"note: {note}")
    if shutil.which("gnuplot"):
        plot(out, summary, names)
    else:
        print("note: no gnuplot here, no plots (make bench installs it)")
    print(f"{time.time() - started:.0f} s; everything is in {os.path.relpath(out)}")
