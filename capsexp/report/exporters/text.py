"""report.txt: what the terminal shows first; everything else is in report.md and report.html."""

from __future__ import annotations

from capsexp import escape
from capsexp.report import summary, tables
from capsexp.results.report import Report

FILE = "report.txt"


def render(report: Report, width: int = summary.WIDTH) -> str:
    """The table within `width` characters."""
    parts = [f"capsexp: {report.name}", tables.headline(report), "", *summary.lines(report), ""]
    parts += [summary.table(report, width), *tables.counted_lines(report)]
    return escape.lines("\n".join([*parts, ""]))
