"""Sends every payload through porthole, nginx and HAProxy and holds their differences against differences.md. Prints
TAP.
usage: run.py [--list] [WORD...]    only payloads whose name contains one of the words; --list: table rows instead"""

import asyncio
import os
import resource
import shutil
import signal
import sys
import tempfile
import time

import document
import payloads
from ends import Client, Origin
from observe import cells, observe_request, observe_response
from proxies import NAMES, Proxy, program

AT_ONCE = 150
HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "differences.md")


class Case:
    """A payload and what became of it."""

    def __init__(self, slot, name, payload):
        self.slot, self.name, self.payload = slot, name, payload
        self.is_response = isinstance(payload, payloads.Response)
        self.origins = {proxy: Origin(payload if self.is_response else None) for proxy in NAMES}
        self.aspects, self.faults, self.clients = {}, {}, {}

    async def _through(self, proxy):
        origin, client = self.origins[proxy.name], Client()
        origin.forget()
        parts = [self.payload.request] if self.is_response else self.payload.parts
        await client.run(proxy.client_path(self.slot), parts, getattr(self.payload, "half_close", False))
        await origin.settle()
        observe = observe_response if self.is_response else observe_request
        self.clients[proxy.name] = client
        self.aspects[proxy.name], self.faults[proxy.name] = observe(self.payload, client, origin)

    async def play(self, proxies):
        await asyncio.gather(*(self._through(proxy) for proxy in proxies))

    def cells(self):
        return cells(*(self.aspects[name] for name in NAMES))

    def verdict(self, rows):
        """What is wrong, as lines; empty when all is as it is listed in one of the rows (None: it isn't)."""
        lines = [f"porthole: {fault}" for fault in self.faults["porthole"]]
        seen = self.cells()
        if rows is None and seen is not None:
            lines.append("a difference that differences.md does not list:")
        elif rows is not None and not any(row.fits(seen) for row in rows):
            lines += [f"differences.md line {row.line}: {document.line(self.name, row.cells)}" for row in rows]
            lines.append("but seen:" if seen else "but there is no difference any more")
        if lines and seen:
            lines.append(document.line(self.name, seen))
        return lines

    def details(self):
        lines = [f"payload: {self.payload!r:.600}"]
        for name in NAMES:
            lines.append(f"{name} answered ({self.clients[name].end}): {self.clients[name].received[:500]}")
            lines += [f"{name} sent: {c.received[:700]}" for c in self.origins[name].conversations]
        return lines


async def play_all(cases, proxies):
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case):
        async with gate:
            await case.play(proxies)

    await asyncio.gather(*(one(case) for case in cases))


async def run(cases, rows, proxies):
    for case in cases:
        for proxy in proxies:
            await case.origins[proxy.name].start(proxy.origin_path(case.slot))
    for proxy in proxies:
        proxy.start()
    await play_all(cases, proxies)
    # A machine that is busy can let a time-out strike early; what is no accident happens again.
    surprising = [case for case in cases if case.verdict(rows.get(case.name))]
    if surprising and rows:
        await play_all(surprising, proxies)
    for case in cases:
        for origin in case.origins.values():
            await origin.stop()


class Tap:
    def __init__(self, n):
        self.n, self.n_failed = 0, 0
        print(f"1..{n}")

    def line(self, name, lines):
        self.n += 1
        self.n_failed += bool(lines)
        print(f"{'not ok' if lines else 'ok'} {self.n} - {name}")
        for text in lines:
            print(f"#   {text}")


def judge(tap, cases, rows, document_faults, alive):
    for case in cases:
        lines = case.verdict(rows.get(case.name))
        tap.line(case.name, lines + case.details() if lines else [])
    document_faults = document_faults + [f"no payload: {name}" for name in rows if name not in all_names()]
    tap.line("differences.md explains causes, and lists only payloads", document_faults)
    tap.line("the judge sees what is not listed, what is wrong and what is gone", self_check(cases[0]))
    tap.line("all three programs survived", [f"{name} did not" for name, was in alive.items() if not was])


def self_check(case):
    """Twists what was seen of a case in every way that must be found; returns what was not."""
    was, lines = case.aspects["nginx"], []
    listed = document.Row(case.name, ("forwarded", document.SAME, "refused"), 0)
    case.aspects["nginx"] = case.aspects["haproxy"] = case.aspects["porthole"]
    if case.verdict(None) or not case.verdict([listed]):
        lines.append("no difference")
    for key in list(case.aspects["porthole"]):
        case.aspects["nginx"] = {**case.aspects["porthole"], key: "twisted"}
        if not case.verdict(None) or not case.verdict([listed]):
            lines.append(f"twisted {key}")
        if case.verdict([document.Row(case.name, case.cells(), 0)]):
            lines.append(f"listed {key}")
    case.aspects["nginx"] = was
    return lines


def all_names():
    return [f"request: {name}" for name in payloads.REQUESTS] + [f"response: {name}" for name in payloads.RESPONSES]


def all_cases(words):
    everything = list(payloads.REQUESTS.values()) + list(payloads.RESPONSES.values())
    chosen = [(n, p) for n, p in zip(all_names(), everything) if not words or any(word in n for word in words)]
    return [Case(slot, name, payload) for slot, (name, payload) in enumerate(chosen)]


def main():
    words = sys.argv[1:]
    listing = "--list" in words
    words = [word for word in words if word != "--list"]
    missing = [name for name in NAMES if not program(name)]
    if missing:
        print(f"1..0 # SKIP not installed: {', '.join(missing)}")
        return 0
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
    rows, faults = document.read(DOCUMENT)
    directory = tempfile.mkdtemp(prefix="porthole-diff-", dir="/tmp")
    cases = all_cases(words)
    proxies = [Proxy(name, directory, len(cases)) for name in NAMES]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a time-out of the runner: end what was started
    begin, alive = time.monotonic(), {}
    try:
        asyncio.run(run(cases, {} if listing else rows, proxies))
    finally:
        alive = {proxy.name: proxy.stop() for proxy in proxies}
        shutil.rmtree(directory, ignore_errors=True)
    if listing:
        for case in cases:
            for proxy in NAMES:
                for fault in case.faults[proxy]:
                    print(f"# {case.name}: {proxy}: {fault}", file=sys.stderr)
            if seen := case.cells():
                print(document.line(case.name, seen))
        return 0
    tap = Tap(len(cases) + 3)
    judge(tap, cases, rows, faults, alive)
    print(f"# {time.monotonic() - begin:.1f} s")
    return 1 if tap.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
