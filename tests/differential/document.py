"""Reads differences.md: causes (headings with a sentence) and under each the payloads that differ because of it."""

from dataclasses import dataclass

COLUMNS = ["payload", "porthole", "nginx", "HAProxy"]
SHORTEST_REASON = 60
SAME = "the same"
OR = " _or_ "  # between what different versions do


@dataclass
class Row:
    payload: str
    cells: tuple
    line: int

    def fits(self, cells):
        """Whether this is what was seen. `cells` is None when there was no difference."""
        mine, *others = self.cells
        if cells is None:
            return all(SAME in listed.split(OR) for listed in others)
        return all(was in listed.split(OR) for was, listed in zip(cells, [mine] + others))


def _cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read(path):
    """Returns (lists of rows by payload, what is wrong with the document)."""
    rows, faults = {}, []
    cause, reason, in_table = None, "", False

    def judge_reason(number):
        if cause is None or len(reason) < SHORTEST_REASON or "RFC" not in reason:
            faults.append(f"line {number}: '{cause}' has no explanation that cites an RFC")

    with open(path, encoding="utf-8") as document:
        for number, line in enumerate(document, 1):
            if line.startswith("#"):
                cause, reason, in_table = line.strip("# \n"), "", False
            elif not line.startswith("|"):
                reason += line
            elif _cells_of(line) == COLUMNS:
                judge_reason(number)
                in_table = True
            elif in_table and not set(line.strip()) <= set("|-: "):
                payload, *cells = _cells_of(line)
                if len(cells) != 3:
                    faults.append(f"line {number}: '{payload}' has not three cells")
                else:
                    rows.setdefault(payload, []).append(Row(payload, tuple(cells), number))
    return rows, faults


def line(payload, cells):
    return "| " + " | ".join((payload,) + tuple(cells)) + " |"
