"""report.txt: what the terminal shows first; everything else is in report.md and report.html."""

from __future__ import annotations

from capsexp import escape
from capsexp.files import folded
from capsexp.report import summary, tables
from capsexp.results.report import Report

FILE = "report.txt"


def render(report: Report, width: int | None = None) -> str:
    """`width`: characters of a terminal, within which its lines are kept; commands are not, as they are copied."""
    said = [tables.headline(report), "", *summary.lines(report), ""]
    rest = tables.counted_lines(report)
    if width is not None:
        said, rest = ([folded(line, width) for line in lines] for lines in (said, rest))
    parts = [f"capsexp: {report.name}", *said, summary.table(report, width or summary.WIDTH), *rest]
    return escape.lines("\n".join([*parts, ""]))
