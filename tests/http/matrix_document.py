"""Reads matrix.md and attempts.md: families (headings with a settings block and a table) and their rows."""

import json
import os
import re
from dataclasses import dataclass, field

from matrix_notation import code, octets, parse_promises, script

REQUEST_COLUMNS = ["case", "the client sends", "answer", "outcome", "the target receives"]
RESPONSE_COLUMNS = ["case", "request", "the target sends", "answer", "outcome", "its connection"]
SETTINGS = ("client", "target", "body", "policy", "listener-has", "target-has", "routes")
TEXTS = ("client", "target", "body", "policy")


@dataclass
class Row:
    """One case. `client` is the client's script, `target` the target's (None: an ordinary answer)."""

    name: str
    line: int
    client: list
    target: list
    answer: list
    outcome: list
    last: list  # promises on what the target received, or on what became of its connection
    is_response: bool


@dataclass
class Family:
    name: str
    settings: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)


def framed(frame, text):
    """`text` where the frame of its family says {}; a frame alone where there is no text."""
    if text is None:
        if frame is None or "{}" in frame:
            raise ValueError("an empty cell needs a setting that is complete")
        return frame
    return frame.replace("{}", text) if frame and "{}" in frame else text


def request(settings, text):
    """With the setting `body` a cell is the body of a request whose head that is, but for Content-Length; its braces are braces."""
    if "body" not in settings:
        return script(framed(settings.get("client"), text))
    body = octets(re.sub("[{}]", lambda brace: f"\\x{ord(brace[0]):x}", text or ""))
    return [("send", octets(settings["body"]) + b"Content-Length: %d\r\n\r\n" % len(body) + body)]


class Reader:
    def __init__(self, document):
        self.document = document
        self.families = []
        self.columns = None

    def setting(self, line):
        key, value = line.split(None, 1)
        if key not in SETTINGS or key in self.families[-1].settings:
            raise ValueError(f"unknown or repeated setting {key}")
        if key not in TEXTS:
            json.loads("{" + value + "}" if key != "routes" else value)
        self.families[-1].settings[key] = value

    def table_line(self, number, line):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells in (REQUEST_COLUMNS, RESPONSE_COLUMNS):
            self.columns = cells
        elif self.columns and not set(line.strip()) <= set("|-: "):
            if len(cells) != len(self.columns):
                raise ValueError(f"{len(cells)} cells, not {len(self.columns)}: write \\x7c for a bar")
            self.families[-1].rows.append(self.row(number, cells))

    def row(self, number, cells):
        settings = self.families[-1].settings
        is_response = self.columns == RESPONSE_COLUMNS
        target = script(framed(settings.get("target"), code(cells[2]))) if is_response else None
        return Row(
            name=cells[0],
            line=number,
            client=request(settings, code(cells[1])),
            target=target,
            answer=parse_promises(cells[-3]),
            outcome=parse_promises(cells[-2]),
            last=parse_promises(cells[-1]),
            is_response=is_response,
        )

    def read(self, lines):
        in_settings = False
        for number, line in enumerate(lines, 1):
            try:
                if line.startswith("```"):
                    in_settings = line.strip() == "```matrix"
                elif in_settings:
                    self.setting(line.rstrip("\n"))
                elif line.startswith("#"):
                    self.columns = None
                    self.families.append(Family(line.lstrip("#").strip()))
                elif line.startswith("|"):
                    self.table_line(number, line)
                elif line.strip():
                    self.columns = None
            except (ValueError, KeyError) as error:
                raise SystemExit(f"{self.document}:{number}: {error}") from error
        return [family for family in self.families if family.rows]


def check(document, families):
    """Two rows that send the same ask for nothing new."""
    names, scripts = set(), {}
    for family in families:
        for row in family.rows:
            both = repr((family.settings, row.client, row.target))
            if (family.name, row.name) in names or not row.name:
                raise SystemExit(f"{document}:{row.line}: a second '{row.name}'")
            if both in scripts:
                raise SystemExit(f"{document}:{row.line}: sends the same as line {scripts[both]}")
            names.add((family.name, row.name))
            scripts[both] = row.line
    return families


def read(path):
    with open(path, encoding="ascii") as file:
        document = os.path.basename(path)
        return check(document, Reader(document).read(file))
