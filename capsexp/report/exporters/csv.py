"""report.csv: tidy, for a data frame or a spreadsheet: a row for each metric of each configuration that is known.

Units are the metric's (docs/reference/metrics.md); shares go from 0 to 1. Numbers are as in report.json, unrounded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from capsexp import escape
from capsexp.analysis.metrics import BY_TAG
from capsexp.results.report import Configuration, Report

FILE = "report.csv"
COLUMNS = (
    "sweep", "configuration", "baseline", "workers", "threads", "pool", "placement", "engine", "target", "load",
    "dispatch", "schedule", "status", "verdict", "trials", "metric", "unit", "value", "ci95_low", "ci95_high", "n",
    "of",
)  # fmt: skip


def render(report: Report) -> str:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(COLUMNS)
    for c in report.configurations:
        table.writerows(map(_cell, row) for row in _rows(report.name, c))
    return written.getvalue()


def _rows(name: str, c: Configuration) -> Iterator[tuple[object, ...]]:
    """One row without a metric where none is known, so that no configuration is missing."""
    known = {tag: one for tag, one in c.metrics.items() if one.value is not None}
    about = (
        name, c.key, c.baseline, c.workers, c.threads, c.pool, c.placement, c.engine, c.target, c.load,
        c.dispatch, c.schedule, c.status, c.verdict, c.trials,
    )  # fmt: skip
    for tag, one in known.items():
        yield (*about, tag, BY_TAG[tag].unit, one.value, *(one.ci95 or (None, None)), one.n, one.of)
    if not known:
        yield (*about, *(None,) * (len(COLUMNS) - len(about)))


def _cell(value: object) -> object:
    """Of foreign text a spreadsheet makes no formula (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    said = escape.one_line(value)
    return f"'{said}" if said.startswith(("=", "+", "-", "@")) else said
