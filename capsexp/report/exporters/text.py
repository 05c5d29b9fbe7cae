"""report.txt: what the terminal shows first; everything else is in report.md and report.html."""

from __future__ import annotations

import textwrap

from capsexp import escape
from capsexp.report import summary, tables
from capsexp.results.report import Report

FILE = "report.txt"


def render(report: Report, width: int | None = None) -> str:
    """`width`: characters of a terminal, within which its lines are kept; commands are not, as they are copied."""
    said = [tables.headline(report), "", *summary.lines(report), ""]
    rest = tables.counted_lines(report)
    if width is not None:
        said, rest = ([_folded(line, width) for line in lines] for lines in (said, rest))
    parts = [f"capsexp: {report.name}", *said, summary.table(report, width or summary.WIDTH), *rest]
    return escape.lines("\n".join([*parts, ""]))


def _folded(line: str, width: int) -> str:
    if "python -m " in line:
        return line
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
