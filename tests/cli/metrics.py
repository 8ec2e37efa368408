#!/usr/bin/python3
"""The table of families (proxy/report/families.def) beside what depends on it.
usage: metrics.py reference             the table as config/README.md has it
       metrics.py used FILE...          fails if an expression in one of these (a Grafana dashboard, Prometheus rules) names
                                        a metric that there is not, or a label that it does not have
       metrics.py value NAME [LABEL=VALUE...]
                                        the sum of what standard input says of it
"""
import json
import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
ROW = re.compile(r'^FAMILY\((\w+), "([^"]+)", (\w+), "([^"]*)", "([^"]+)"\)$', re.M)
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? ([0-9.e+]+)$')
# What scraping adds, and what expressions have besides.
LABELS_OF_OTHERS = {"instance", "job", "le"}


def families():
    with open(os.path.join(TOP, "proxy/report/families.def"), encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    return {name: (kind.lower(), [l for l in labels.split(",") if l], sentence) for _, name, kind, labels, sentence in rows}


def reference():
    for name, (kind, labels, sentence) in families().items():
        print(f"| `{name}` | {kind} | {' '.join(f'`{l}`' for l in labels)} | {sentence} |".replace("|  |", "| |"))


def family_of(metric, known):
    for suffix in ("", "_bucket", "_sum", "_count"):
        name = metric.removesuffix(suffix) if suffix else metric
        if name in known and (not suffix or known[name][0] == "histogram"):
            return name
    return None


def check(where, expression, known):
    bad = []
    bare = re.sub(r'"[^"]*"', '""', expression)
    metrics = set(re.findall(r"\b(?:porthole|process)_\w+", bare))
    if not metrics:
        bad.append(f"{where}: no metric in {expression}")
    labels = set()
    for metric in metrics:
        name = family_of(metric, known)
        if not name:
            bad.append(f"{where}: there is no {metric}")
        else:
            labels |= set(known[name][1])
    named = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", bare):
        named |= {label.strip() for label in group.split(",")}
    return bad + [f"{where}: no label {label} in {expression}" for label in sorted(named - labels - LABELS_OF_OTHERS)]


def expressions(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".json"):
        dashboard = json.loads(text)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"]
        for one in dashboard["annotations"]["list"]:
            yield one["name"], one["expr"]
        for one in dashboard["templating"]["list"]:
            if one["type"] == "query":
                yield one["name"], re.sub(r"label_values\((.*), *\w+\)", r"\1", one["definition"])
        return
    # One line, or a block that is indented further.
    for match in re.finditer(r"^( *)expr: (?:\|\n((?:\1 +.*\n)+)|(.*)\n)", text, re.M):
        yield "expr", match.group(2) or match.group(3)


def used(paths):
    known, bad, n = families(), [], 0
    seen = set()
    for path in paths:
        for title, expression in expressions(path):
            bad += check(f"{path}: {title}", expression, known)
            seen |= {family_of(m, known) for m in re.findall(r"\b(?:porthole|process)_\w+", expression)}
            n += 1
    if paths and paths[0].endswith(".json"):
        bad += [f"no panel shows {name}" for name in known if name not in seen]
    print("\n".join(bad) or f"{n} expressions")
    return 1 if bad or not n else 0


def value(name, wanted):
    total = None
    for line in sys.stdin:
        match = SAMPLE.match(line.rstrip("\n"))
        if match and match.group(1) == name and all(
                f'{w.split("=", 1)[0]}="{w.split("=", 1)[1]}"' in (match.group(2) or "") for w in wanted):
            number = match.group(3)
            total = (total or 0) + (float(number) if "." in number else int(number))
    print("none" if total is None else total)


if __name__ == "__main__":
    if sys.argv[1:2] == ["reference"]:
        reference()
    elif sys.argv[1:2] == ["used"]:
        sys.exit(used(sys.argv[2:]))
    elif sys.argv[1:2] == ["value"]:
        value(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(__doc__)
