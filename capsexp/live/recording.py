"""A page of what the monitor saw of a server that it watched alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from capsexp.counts import counted
from capsexp.monitor.app import memory_column, total
from capsexp.report.exporters.html import runs
from capsexp.report.exporters.html.page import rendered
from capsexp.report.exporters.html.words import say
from capsexp.results.read import RunFiles
from capsexp.results.run import Run, Window
from capsexp.results.tables import SERVER_ROLES
from capsexp.results.verdicts import Status


def page(watched: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Of the rows of a monitor.csv: memory and CPUs over time, by role."""
    run = Run(
        num=0, key=watched, trial=1, status=Status.OK, workers=None, threads=1, pool="", engine="", dispatch=None,
        config={}, phases_s={}, window_s=Window(), samples=(), skipped=(), cpu_count=0.0, warnings=(),
    )  # fmt: skip
    files = RunFiles(run, monitor=[dict(row) for row in rows])
    drawn = [
        replace(runs.memory(files), title=say("Memory over time"), note=say("By process, one above the other.")),
        replace(runs.cpus(files), title=say("CPUs over time"), note=say("By process. Other programs: all others.")),
    ]
    context = {"name": f"Monitor: {watched}", "said": _said(rows), "drawn": drawn}
    return rendered("recording.html", drawn, "auto", context)


def _said(rows: Sequence[Mapping[str, Any]]) -> str:
    """How long, how many processes, and how much memory."""
    ticks: dict[float, list[Mapping[str, Any]]] = {}
    for row in rows:
        ticks.setdefault(float(row["time_s"]), []).append(row)
    if not ticks:
        return "Nothing was seen."
    server = [row for row in rows if row["role"] in SERVER_ROLES]
    column = memory_column([dict(row) for row in server])
    peak = max(total(tick, column) for tick in ticks.values())
    processes = counted(len({row["pid"] for row in server}), "process")
    name = column.removesuffix("_mb").upper()
    return f"{max(ticks) - min(ticks):.0f} s; {processes} of the server; at most {peak:.0f} MB of {name}."
