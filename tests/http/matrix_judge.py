"""What became of a case of matrix.md, held against its row."""

import json
import re
import time

from matrix_message import Garbled, read_requests
from matrix_wire import ORDINARY_TARGETS, PATIENCE_S, ordinary_body

# What is another each time: an id that porthole made, in a head or a problem, and the time of an answer.
RANDOM = re.compile(rb'(?<=\r\nX-Request-Id: )[0-9a-f]{32}(?=\r\n)|(?<="request_id":")[0-9a-f]{32}(?=")|(?<=\r\nDate: )[^\r]*')


def without_random(data):
    """What a row's bytes are looked for in: no hexadecimal digits or months by which a word is there now and then."""
    return RANDOM.sub(b"#", data)


class Case:
    def __init__(self, row, target):
        self.row, self.target = row, target
        self.client = self.after = None
        self.n_before_again = None  # responses that were there before the ordinary request on the same connection
        self.faults = []
        self.outcome = ""

    def await_script(self):
        if self.target.script is not None and self.client.received:
            self.target.script_done.wait(PATIENCE_S / 4)

    def settle(self):
        """Until porthole is done with each connection on which it owes the target something."""
        limit = time.monotonic() + PATIENCE_S / 2
        while time.monotonic() < limit and any(self.is_unsettled(at) for at in self.target.conversations):
            time.sleep(0.01)
        if any(self.is_unsettled(at) for at in self.target.conversations):
            self.faults.append("the target was left waiting for the rest of a request")

    def is_unsettled(self, conversation):
        if conversation.ended:
            return False
        try:
            requests, rest = read_requests(conversation.received)
        except Garbled:
            return False
        return bool(rest) or any(not request.whole for request in requests)

    # ---- summaries, in the words of the document ----

    def answer(self):
        if self.client.end == "left":
            return "left"
        try:
            responses, rest = self.client.responses()
        except Garbled as error:
            return f"garbled ({error})"
        ended = self.n_before_again is None or self.client.end
        own = responses if ended else responses[: self.n_before_again]
        words = [response.line[1].decode() for response in own]
        return " ".join(words + [self.ending(own, responses[len(own) :], rest)])

    def seen(self):
        """What the client received, and once more the bodies, without the framing that porthole chose."""
        try:
            bodies = [response.body for response in self.client.responses()[0]]
        except Garbled:
            bodies = []
        return without_random(b"\0".join([self.client.received, *bodies]))

    def ending(self, own, again, rest):
        if self.client.end:
            cut = rest or (own and not own[-1].whole)
            return "cut" if cut else "closed"
        if self.n_before_again is None:
            return "waiting"
        return "open" if [response.body for response in again] == [ordinary_body(b"/again")] else "astray"

    def requests(self):
        """Of all connections: those that are the case's own, and what was no whole head."""
        own, rests = [], []
        for conversation in self.target.conversations:
            requests, rest = read_requests(conversation.received)
            own += [request for request in requests if request.line[2] not in ORDINARY_TARGETS]
            rests += [rest] if rest else []
        return own, rests

    def received(self):
        """The summary of what the target received, and the bytes, bodies without their framing."""
        try:
            own, rests = self.requests()
        except Garbled as error:
            return f"garbled ({error})", b""
        n_whole = sum(request.whole for request in own)
        words = [f"{n_whole} request{'s' if n_whole > 1 else ''}"] if n_whole else []
        words += ["1 cut"] * (len(own) - n_whole) + ["1 broken head"] * len(rests)
        seen = b"".join(request.head + request.body + request.trailers for request in own)
        return " + ".join(words) or "nothing", without_random(seen)

    def connection(self):
        """Whether porthole used the connection again on which the target misbehaved."""
        scripted = self.target.scripted
        if not scripted:
            return "never opened"
        targets = re.findall(rb"^GET (/again|/after) HTTP/1\.1\r$", scripted.received, re.MULTILINE)
        return "kept" if targets else "dropped"

    def last(self):
        return (self.connection(), b"") if self.row.is_response else self.received()

    # ---- for the reader of a failure ----

    def details(self):
        lines = [f"answer: {self.answer()}", f"outcome: {self.outcome}", f"last: {self.last()[0]}"]
        lines.append(f"client received: {self.client.received[:600] if self.client else None}")
        lines += [f"target received: {at.received[:600]}" for at in self.target.conversations]
        return lines

    def cells(self):
        return f"{self.answer()} | {self.outcome} | {self.last()[0]} |"


def hold(case, what, promises, summary, data):
    faults = [promise.fault(summary, data) for promise in promises]
    if None not in faults:
        case.faults.append(f"{what}: '{summary}', {'; or '.join(faults)}")


def judge(case):
    if not case.client:
        return
    hold(case, "answer", case.row.answer, case.answer(), case.seen())
    hold(case, "last", case.row.last, *case.last())
    judge_after(case)
    if case.row.is_response:
        judge_repetition(case)
    elif b"/hidden" in b"".join(request.line[2] for request in safe_requests(case)):
        case.faults.append("the hidden request reached the target as one of its own")


def safe_requests(case):
    try:
        return case.requests()[0]
    except Garbled:
        return []  # a fault already


def judge_repetition(case):
    """A request that the target may have acted on is sent once, whatever the answer looks like."""
    requests = safe_requests(case)
    if len(requests) > 1:
        case.faults.append(f"the target got the request {len(requests)} times")


def judge_after(case):
    try:
        responses, rest = case.after.responses() if case.after else ([], b"")
    except Garbled as error:
        responses, rest = [], str(error).encode()
    if rest or [response.body for response in responses] != [ordinary_body(b"/after")] or case.after.end != "closed":
        got = case.after.received[:300] if case.after else None
        case.faults.append(f"the ordinary request afterwards got {got}")


# ---- logs ----


def is_clean(line):
    """UTF-8 without anything that moves a cursor, ends a line or hides text."""
    try:
        return line.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def describe(entry):
    """Refused by the library itself: an exchange that was begun but never told a status of ours gets a "*"."""
    mark = "*" if entry["outcome"] == "malformed" and entry["status"] == 0 else ""
    reason = f" ({entry['reason']})" if "reason" in entry else ""
    return f"{entry['outcome']}{mark}{reason}"


def without_unasked_reasons(summary, wanted):
    """Leaves out the reasons that a row does not mention."""
    entries, expected = summary.split(" + "), wanted.split(" + ")
    if len(entries) != len(expected):
        return summary
    return " + ".join(entry if "(" in asked else entry.split(" (")[0] for entry, asked in zip(entries, expected))


def judge_entries(case, entries):
    own = [entry for entry in entries if entry["request"].encode() not in ORDINARY_TARGETS]
    case.outcome = " + ".join(describe(entry) for entry in own) or "-"
    wanted = [promise.summary for promise in case.row.outcome]
    if not any(without_unasked_reasons(case.outcome, one) == one for one in wanted):
        case.faults.append(f"outcome: '{case.outcome}', expected {' / '.join(wanted)}")
    told = re.findall(r"\b[1-9][0-9][0-9]\b", case.answer().split("(")[0])
    for entry in own:
        if entry["status"] and str(entry["status"]) not in told and case.client.end != "left":
            case.faults.append(f"logged with status {entry['status']}, the client got {case.answer()}")
    after = [entry["outcome"] for entry in entries if entry["request"] == "/after"]
    if after != ["forwarded"]:
        case.faults.append(f"the ordinary request afterwards was logged as {after}")


def judge_log(cases, access, error):
    """Distributes the access log's lines to their cases; returns what is wrong with the logs as a whole."""
    faults, by_listener = [], {}
    for line in access.split(b"\n") + error.split(b"\n"):
        if not is_clean(line):
            faults.append(f"not fit for a terminal: {line[:300]}")
    for line in access.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            by_listener.setdefault(entry["listener"], []).append(entry)
        except (ValueError, KeyError):
            faults.append(f"not an access log line: {line[:300]}")
    for i, case in enumerate(cases):
        judge_entries(case, by_listener.get(f"r{i}", []))
    return faults
