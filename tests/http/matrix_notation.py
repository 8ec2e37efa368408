"""The notation of bytes in matrix.md, and what its cells promise."""

import re
from dataclasses import dataclass

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
ACTIONS = ("pause", "reached", "shut", "close", "reset", "early", "head")
PIECE = re.compile(
    r"\\x(?P<hex>[0-9a-f]{2})|\\(?P<escape>[rnt0\\])|\{(?P<count>\d+)\*(?P<repeated>[^{}]+)\}"
    r"|\{drip (?P<drip>[^{}]+)\}|\{(?P<action>[a-z]+)\}|(?P<plain>[^\\{}])"
)


def split_pieces(text):
    at = 0
    while at < len(text):
        match = PIECE.match(text, at)
        if not match:
            raise ValueError(f"not in the notation: {text[at:at + 20]}")
        yield match
        at = match.end()


def script(text):
    """What one side does, as (action, bytes): "send" and "drip" have bytes, the others none."""
    steps = []

    def send(data):
        if steps and steps[-1][0] == "send":
            steps[-1] = ("send", steps[-1][1] + data)
        else:
            steps.append(("send", data))

    for piece in split_pieces(text):
        if piece["hex"]:
            send(bytes.fromhex(piece["hex"]))
        elif piece["escape"]:
            send(ESCAPES[piece["escape"]])
        elif piece["count"]:
            send(int(piece["count"]) * octets(piece["repeated"]))
        elif piece["drip"]:
            steps.append(("drip", octets(piece["drip"])))
        elif piece["action"]:
            if piece["action"] not in ACTIONS:
                raise ValueError(f"no such action: {piece['action']}")
            steps.append((piece["action"], b""))
        else:
            send(piece["plain"].encode("ascii"))
    return steps


def octets(text):
    steps = script(text)
    if any(action != "send" for action, _ in steps):
        raise ValueError(f"bytes are expected, not actions: {text}")
    return steps[0][1] if steps else b""


@dataclass
class Promise:
    """One alternative of a cell: a summary, and bytes that must and must not be there."""

    summary: str
    present: list
    absent: list

    def holds(self, summary, data):
        return self.fault(summary, data) is None

    def fault(self, summary, data):
        if self.summary != summary:
            return f"'{self.summary}' expected"
        for wanted in self.present:
            if wanted not in data:
                return f"{wanted} is missing"
        for unwanted in self.absent:
            if unwanted in data:
                return f"{unwanted} must not be there"
        return None


def parse_promise(text, spans):
    """`text` has a number in backquotes for each code span of the cell."""
    words = re.split(r"\s+(with|without)\s+(?=`)", text.strip())
    promise = Promise(words[0], [], [])
    for word, operands in zip(words[1::2], words[2::2]):
        kept = promise.present if word == "with" else promise.absent
        kept.extend(octets(spans[int(number)]) for number in re.findall(r"`(\d+)`", operands))
    return promise


def parse_promises(cell):
    """The alternatives of a cell."""
    spans = []

    def number(match):
        spans.append(match[1])
        return f"`{len(spans) - 1}`"

    text = re.sub(r"`([^`]*)`", number, cell.strip())
    return [parse_promise(alternative, spans) for alternative in text.split(" / ")]


def code(cell):
    """The one code span that a cell consists of; None for an empty cell."""
    cell = cell.strip()
    if not cell:
        return None
    match = re.fullmatch(r"`([^`]*)`", cell)
    if not match:
        raise ValueError(f"one code span is expected: {cell}")
    return match[1]
