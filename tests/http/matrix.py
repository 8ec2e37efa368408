#!/usr/bin/python3 -B
"""Runs the cases of matrix.md, or of attempts.md, through the real program and prints TAP.

usage: matrix.py [--attempts] [--show] [FAMILY-OR-CASE...]     (parts of names; default: all)
       --show prints what each case did, as the cells of its row

Each family has a porthole of its own, and each case a listener, a target and two sockets in it: so cases can run side
by side, and whatever reaches a target is known to come from its case. After a case an ordinary request on a new
connection must be answered. PORTHOLE is the program.
"""

import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import matrix_document
from matrix_judge import Case, judge, judge_log
from matrix_wire import ORDINARY, PATIENCE_S, Client, Target

PROGRAM = os.environ.get("PORTHOLE", "build/porthole")
AT_ONCE = 12
HERE = os.path.dirname(os.path.abspath(__file__))
POLICIES = os.path.join(HERE, "../../config/examples")
LEAST = {"matrix.md": (600, 270), "attempts.md": (450, 0)}  # requests, responses


def members(text):
    return json.loads("{" + (text or "") + "}")


def policy_listener(name):
    """The listener of a policy. Its routes are behind one for the ordinary requests of the judge, and lead to "@"."""
    with open(f"{POLICIES}/{name}.json", encoding="ascii") as file:
        listener = json.load(file)["listeners"][0]
    for route in listener["routes"]:
        if "target" in route:
            route["target"] = "@"
    listener["routes"].insert(0, {"match": {"path_regex": "/(?:again|after)"}, "target": "@"})
    return listener


def family_listener(family):
    """What the listeners of a family have in common; "@" is the target."""
    if "policy" in family.settings:
        return policy_listener(family.settings["policy"])
    routes = family.settings.get("routes", '[ { "target": "@" } ]')
    return {"routes": json.loads(routes), **members(family.settings.get("listener-has"))}


def configuration(family, directory):
    """A listener and a target for each case."""
    listeners, targets = [], {}
    common = json.dumps(family_listener(family))
    for i in range(len(family.rows)):
        own = json.loads(common.replace('"@"', f'"r{i}"'))
        listeners.append({**own, "name": f"r{i}", "bind": f"unix:{directory}/r{i}.sock"})
        targets[f"r{i}"] = {"endpoints": [f"unix:{directory}/t{i}.sock"], **members(family.settings.get("target-has"))}
    log = {"level": "debug", "access": {"format": "json", "to": "stdout"}}
    return {"drain": "1s", "log": log, "listeners": listeners, "targets": targets}


class Porthole:
    def __init__(self, family, directory):
        self.directory = directory
        with open(f"{directory}/token", "w", encoding="ascii") as file:
            file.write("the-token\n")
        with open(f"{directory}/c.json", "w", encoding="ascii") as file:
            json.dump(configuration(family, directory), file)
        self.access_log, self.error_log = f"{directory}/access", f"{directory}/error"
        with open(self.access_log, "wb") as access, open(self.error_log, "wb") as error:
            self.process = subprocess.Popen([PROGRAM, "run", "-c", f"{directory}/c.json"], stdout=access, stderr=error,
                                            env={**os.environ, "TOKEN_FILE": f"{directory}/token"})
        self.await_sockets(len(family.rows))

    def await_sockets(self, count):
        limit = time.monotonic() + PATIENCE_S
        while not all(os.path.exists(f"{self.directory}/r{i}.sock") for i in range(count)):
            if self.process.poll() is not None or time.monotonic() > limit:
                with open(self.error_log, encoding="latin-1") as file:
                    raise SystemExit("porthole does not start:\n" + file.read())
            time.sleep(0.01)

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        """The exit status; a signal's number is negative."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def first_bytes(script):
    return b"".join(data for action, data in script if action in ("send", "drip"))[:8]


def talk(case, path):
    """The case's own bytes, and then, where its connection should stay open, an ordinary request on it."""
    client = case.client = Client(path, first_bytes(case.row.client).startswith(b"HEAD "), case.target.is_reached)
    client.act(case.row.client)
    if client.end == "left":
        return
    counts = [len(promise.summary.split()) - 1 for promise in case.row.answer if promise.summary.endswith("open")]
    client.await_responses(max(counts) if counts else None)
    case.await_script()
    if counts and not client.end:
        case.n_before_again = len(client.responses()[0])
        client.send(ORDINARY % (b"/again", b"keep-alive"))
        client.await_responses(max(counts) + 1)
    client.close()


def run_case(porthole, i, row):
    path = f"{porthole.directory}/r{i}.sock"
    case = Case(row, Target(f"{porthole.directory}/t{i}.sock", row.target))
    try:
        talk(case, path)
        case.after = Client(path)
        case.after.send(ORDINARY % (b"/after", b"close"))
        case.after.await_responses(None)
        case.after.close()
        case.settle()
    except (OSError, ValueError) as error:
        case.faults.append(f"{type(error).__name__}: {error}")
    if not porthole.is_alive():
        case.faults.append("porthole has died")
    return case


def run_family(family):
    with tempfile.TemporaryDirectory(prefix="matrix-") as directory:
        porthole = Porthole(family, directory)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            cases = list(pool.map(lambda numbered: run_case(porthole, *numbered), enumerate(family.rows)))
        status = porthole.stop()
        for case in cases:
            case.target.close()
            judge(case)
        with open(porthole.access_log, "rb") as access, open(porthole.error_log, "rb") as error:
            log_faults = judge_log(cases, access.read(), error.read())
    if status != 0:
        log_faults.append(f"porthole ended with status {status}")
    return cases, log_faults


class Tap:
    def __init__(self):
        self.n_tests = self.n_failed = 0

    def test(self, name, faults, details=()):
        self.n_tests += 1
        self.n_failed += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {self.n_tests} - {name}", flush=True)
        if faults:
            for line in [*faults, *details]:
                print(f"# {line}")


def select(families, wanted):
    for family in families if wanted else []:
        family.rows = [row for row in family.rows if any(word in f"{family.name}: {row.name}" for word in wanted)]
    return [family for family in families if family.rows]


def test_counts(tap, families, document):
    """A document may not shrink unnoticed."""
    rows = [row for family in families for row in family.rows]
    n_responses = sum(row.is_response for row in rows)
    for what, count, least in zip(("requests", "responses"), (len(rows) - n_responses, n_responses), LEAST[document]):
        tap.test(f"{document} has {least} {what}", [] if count >= least else [f"it has {count}"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--attempts", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("wanted", nargs="*")
    options = parser.parse_args()
    document = "attempts.md" if options.attempts else "matrix.md"
    families = matrix_document.read(os.path.join(HERE, document))
    tap = Tap()
    if not options.wanted:
        test_counts(tap, families, document)
    families = select(families, options.wanted)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for family, (cases, log_faults) in zip(families, pool.map(run_family, families)):
            for case in cases:
                tap.test(f"{family.name}: {case.row.name} (line {case.row.line})", case.faults, case.details())
                if options.show:
                    print("# " + case.cells())
            tap.test(f"{family.name}: the logs and the end of porthole", log_faults)
    print(f"1..{tap.n_tests}")
    sys.exit(tap.n_failed > 0)


if __name__ == "__main__":
    main()
