#!/usr/bin/python3
"""Holds a summary of the bench against the goals: prints each figure with pass or miss.

usage: gate.py build/bench/summary.json; exit status 1 unless all of them are met."""

import json
import sys

import tunnel

OURS = ("porthole", "porthole-static")


def _times(summary, proxy, case, peer):
    by_proxy = summary[case]
    return by_proxy[proxy]["cpu_us"] / by_proxy[peer]["cpu_us"]


def _of_defaults(summary, proxy, case):
    by_proxy = summary[case]
    return by_proxy[f"{proxy}-smallest"]["cpu_us"] / by_proxy[proxy]["cpu_us"]


# what, limit, unit, how it is found in a summary (KeyError when the summary doesn't have it)
GOALS = [
    ("CPU per small request, 32 connections", 1.15, "x nginx", lambda s, p: _times(s, p, "small32", "nginx")),
    ("CPU per small request, 250 connections, smallest configuration", 1.1, "x tuned", lambda s, p: _of_defaults(s, p, "small250")),
    ("CPU per small request, 512 connections, smallest configuration", 1.1, "x tuned", lambda s, p: _of_defaults(s, p, "small512")),
    ("CPU for 100 MiB down", 1.15, "x HAProxy", lambda s, p: _times(s, p, "down100m", "haproxy")),
    ("CPU for 100 MiB up", 1.15, "x HAProxy", lambda s, p: _times(s, p, "up100m", "haproxy")),
    ("RSS, 1,000 idle connections", 16, "MiB", lambda s, p: s["idle1000"][p]["rss_kib"] / 1024),
    ("RSS, 1,000 silent connections", 16, "MiB", lambda s, p: s["fresh1000"][p]["rss_kib"] / 1024),
    ("CPU per GB through a tunnel, median of all shapes", 1.0, "x HAProxy in tcp mode", tunnel.typical),
    ("CPU per GB through a tunnel, the worst shape", 1.0, "x HAProxy in tcp mode", tunnel.worst),
    ("RSS per idle stream", 8, "KiB", lambda s, p: s["streams1000"][p]["kib_each"]),
    ("RSS per idle upgrade", 8, "KiB", lambda s, p: s["upgrades1000"][p]["kib_each"]),
    ("exec to first served request", 10, "ms", lambda s, p: s["ready"][p]["ready_ms"]),
]


def judge(summary):
    """Rows of what, measured, limit, verdict: pass, MISS, or ? for what was not measured."""
    rows = []
    for proxy in OURS:
        if not any(proxy in by_proxy for by_proxy in summary.values()):
            continue
        for what, limit, unit, find in GOALS:
            try:
                figure = find(summary, proxy)
                measured, verdict = f"{figure:.2f} {unit}", "pass" if figure <= limit else "MISS"
            except KeyError:
                measured, verdict = "not measured", "?"
            rows.append((f"{proxy}: {what}", measured, str(limit), verdict))
    return rows


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        rows = judge(json.load(f))
    for what, figure, limit, verdict in rows:
        print(f"{verdict:4}  {what}: {figure} (at most {limit})")
    if not rows:
        print("nothing to judge: no figures of porthole")
    return 0 if rows and all(row[3] == "pass" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
