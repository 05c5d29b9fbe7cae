"""python -m capsexp.compare A B [...]: two machines, two versions, before and after: ratios with intervals, and what
differs in environment and configuration. Each is a sweep's folder or its zip; all are compared with the first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from capsexp import escape
from capsexp.analysis import differences
from capsexp.errors import ConfigError
from capsexp.files import tell, write_text
from capsexp.report.tables import interval, number, shown
from capsexp.sweeps import Swept, opened

HEADERS = ("configuration", "figure", "before", "after", "ratio", "95 % interval", "")
WORDS = {True: "different", False: "no difference seen", None: "too few trials to say"}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="capsexp.compare", description=__doc__, allow_abbrev=False)
    parser.add_argument("sweeps", nargs="+", metavar="SWEEP", help="a sweep's folder or its zip")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots, which works offline")
    asked = parser.parse_args(argv)
    if len(asked.sweeps) < 2:
        raise ConfigError("usage: python -m capsexp.compare A B [...], sweeps' folders or zips")
    with opened(asked.sweeps) as sweeps:
        first, *others = sweeps
        for other in others:
            tell(side_by_side(first, other))
        if asked.html:
            from capsexp.report.exporters.html import compared

            write_text(asked.html, compared.made(sweeps))
    return 0


def side_by_side(old: Swept, new: Swept) -> str:
    """The comparison as text."""
    before, after = old.observed, new.observed
    counting = differences.counting(before), differences.counting(after)
    found, apart = differences.ratios(*counting), differences.texts(*counting)
    rows = [
        [
            f.key, f.metric, shown(f.metric, f.before), shown(f.metric, f.after), number(f.ratio, 3),
            interval(f.ci95, 3),
            differences.APART if f.apart(apart) else WORDS[f.different],
        ]
        for f in found
    ]  # fmt: skip
    rows = [[escape.one_line(cell) for cell in row] for row in rows]
    parts = [f"{escape.one_line(new.name)} against {escape.one_line(old.name)}"]
    if unlike := differences.unlike(before, after):
        parts += [f"Not the same work, so the ratios do not compare like with like: {', '.join(unlike)}."]
    parts += map(escape.one_line, differences.unequal(apart))
    parts += ["", tabulate(rows, HEADERS, disable_numparse=True)]
    alone = sorted({o.run.key for o in before} ^ {o.run.key for o in after})
    parts += [f"In one of them only: {escape.one_line(', '.join(alone))}"] if alone else []
    mine, theirs = ({k: v for k, v in one.files.environment.items() if k != "models"} for one in (old, new))
    parts += _listed("Environment:", differences.changes(mine, theirs))
    environments = [one.files.environment.get("models") for one in (old, new)]
    unlike_files = differences.models(*environments)
    parts += ["Models:", *(escape.one_line(f"  {line}") for line in unlike_files)] if unlike_files else []
    parts += _listed("Configuration:", differences.configurations(before, after))
    return "\n".join([*parts, ""])


def _listed(title: str, found: list[tuple[str, Any, Any]]) -> list[str]:
    if not found:
        return []
    return [title, *(escape.one_line(f"  {key}: {_said(before)} -> {_said(after)}") for key, before, after in found)]


def _said(value: Any) -> str:
    """What is a list in a file is one here, and nothing is a word."""
    return "nothing" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.compare"))
