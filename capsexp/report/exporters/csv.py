"""report.csv: tidy, for a data frame or a spreadsheet: a row for each metric of each configuration that is known.

Units are the metric's (docs/reference/metrics.md); shares go from 0 to 1. Numbers are as in report.json, unrounded.

What users were promised stands in rows of its own, two for each limit (`slo_value`: what they felt, `slo_late_share`:
the share of requests beyond the limit, of which `allowed` may be), and so does what a search found of a configuration
(`capacity_...`, a band for the SLO and one for each other meaning of real time, which stands under `slo`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from capsexp import escape
from capsexp.analysis.metrics import BY_TAG
from capsexp.results.report import Capacity, Configuration, Meaning, Report, SloResult

FILE = "report.csv"
COLUMNS = (
    "sweep", "configuration", "baseline", "workers", "threads", "pool", "placement", "engine", "target", "load",
    "dispatch", "schedule", "status", "verdict", "trials", "metric", "unit", "value", "ci95_low", "ci95_high", "n",
    "of", "slo", "class", "limit", "allowed", "reading",
)  # fmt: skip
_ABOUT = COLUMNS[: COLUMNS.index("metric")]
_NO_LIMIT = (None,) * (len(COLUMNS) - COLUMNS.index("slo"))


def render(report: Report) -> str:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(COLUMNS)
    for c in report.configurations:
        table.writerows(map(_cell, row) for row in _rows(report.name, c))
    for one in report.capacity:
        about = tuple({"sweep": report.name, "configuration": one.key, "workers": one.workers}.get(c) for c in _ABOUT)
        table.writerows([*map(_cell, (*about, *row))] for row in _band(one))
    return written.getvalue()


def _rows(name: str, c: Configuration) -> Iterator[tuple[object, ...]]:
    """One row without a metric where none is known, so that no configuration is missing."""
    known = {tag: one for tag, one in c.metrics.items() if one.value is not None}
    about = (
        name, c.key, c.baseline, c.workers, c.threads, c.pool, c.placement, c.engine, c.target, c.load,
        c.dispatch, c.schedule, c.status, c.verdict, c.trials,
    )  # fmt: skip
    for tag, one in known.items():
        yield (*about, tag, BY_TAG[tag].unit, one.value, *(one.ci95 or (None, None)), one.n, one.of, *_NO_LIMIT)
    for limit in c.slo:
        yield from ((*about, *row) for row in _limit(limit))
    if not known and not c.slo:
        yield (*about, *(None,) * (len(COLUMNS) - len(about)))


def _limit(one: SloResult) -> Iterator[tuple[object, ...]]:
    named = (one.name, one.kind, one.limit, one.allowed, one.verdict)
    unit = "s" if one.metric.endswith("_s") else "share"
    yield ("slo_value", unit, one.value, None, None, one.requests, "requests", *named)
    share = one.late / one.requests if one.requests else None
    yield ("slo_late_share", "share", share, *(one.late_ci or (None, None)), one.requests, "requests", *named)


def _band(one: Capacity) -> Iterator[tuple[object, ...]]:
    """The ends of each band: no interval of one figure, so they stand in rows of their own."""
    unit = "users" if one.over.endswith("users") else "requests/s"
    promised = "; ".join(f"{name} {limit}" for name, limit in one.slo.items())
    bands: list[tuple[str, Capacity | Meaning]] = [(promised, one), *((each.name, each) for each in one.meanings)]
    for name, band in bands:
        figures = {
            "feasible_max": (unit, band.feasible_max), "infeasible_min": (unit, band.infeasible_min),
            "resolved": ("0 or 1", int(band.resolved)),
        }  # fmt: skip
        if isinstance(band, Capacity):
            figures["per_worker"] = (unit, band.per_worker)
        for what, (unit_of, value) in figures.items():
            if value is not None:
                yield (f"capacity_{what}", unit_of, value, *(None,) * 4, name, *_NO_LIMIT[1:])


def _cell(value: object) -> object:
    """Of foreign text a spreadsheet makes no formula (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    said = escape.one_line(value)
    return f"'{said}" if said.startswith(("=", "+", "-", "@")) else said
