"""What the monitor saw, by role, thinned out to what a plot can show."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from capsexp.report.exporters.html.words import Words, say
from capsexp.results.read import RunFiles
from capsexp.results.rows import Row

POINTS = 60  # in time
EVERYBODY_ELSE = "other programs"
NAMES: dict[str, Words] = {
    "worker": say("worker"), "gateway": say("gateway"), "loader": say("loader"), "helper": say("helpers"),
    "client": say("client"), "monitor": say("monitor"), EVERYBODY_ELSE: say("other programs"),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """`mb`: the most since the point before, summed over a role's processes; `cpus`: the mean since then."""

    time_s: float
    role: Words
    mb: float | None
    cpus: float | None


def series(one: RunFiles) -> list[Point]:
    """By time and role."""
    rows = sorted((r for r in one.monitor if r["time_s"] is not None), key=lambda r: float(r["time_s"]))
    ticks = sorted({float(r["time_s"]) for r in rows})
    if len(ticks) < 2:
        return []
    step = max(1, -(-len(ticks) // POINTS))
    ends = [*ticks[step - 1 : -1 : step], ticks[-1]]
    held, used = _held(rows, ends), _used(rows, ticks, ends)
    found = []
    for at, end in enumerate(ends):
        span = end - (ends[at - 1] if at else ticks[0])
        for role, words in NAMES.items():
            mb, seconds = held.get((at, role)), used.get((at, role))
            cpus = seconds / span if seconds is not None and span > 0 else None
            if mb is not None or cpus is not None:
                found.append(Point(end, words, mb, cpus))
    return found


def _held(rows: Sequence[Row], ends: Sequence[float]) -> dict[tuple[int, str], float]:
    metric = next((m for m in ("pss_mb", "uss_mb") if any(r.get(m) is not None for r in rows)), None)
    ticks: dict[tuple[float, str], float] = defaultdict(float)
    for row in rows:
        if metric and row["role"] in NAMES and row[metric] is not None:
            ticks[row["time_s"], row["role"]] += row[metric]
    found: dict[tuple[int, str], float] = {}
    for (time, role), mb in ticks.items():
        at = bisect_left(ends, time), role
        found[at] = max(mb, found.get(at, 0.0))
    return found


def _used(rows: Sequence[Row], ticks: Sequence[float], ends: Sequence[float]) -> dict[tuple[int, str], float]:
    """CPU seconds by role between two points, and what the whole system used beside them."""
    found: dict[tuple[int, str], float] = defaultdict(float)
    before: dict[object, float] = {}
    every: dict[int, float] = defaultdict(float)
    for row in rows:
        system = row["role"] == "system"
        counter = row.get("busy_s") if system else row.get("cpu_s")
        if counter is None or (row["role"] not in NAMES and not system):
            continue
        at, key = bisect_left(ends, row["time_s"]), "system" if system else row["pid"]
        first = 0.0 if row["time_s"] > ticks[0] and not system else counter  # born since the tick before
        grown = max(0.0, counter - before.get(key, first))
        before[key] = counter
        if system:
            every[at] += grown
        else:
            found[at, row["role"]] += grown
    for at, seconds in every.items():
        ours = sum(used for (where, _), used in found.items() if where == at)
        found[at, EVERYBODY_ELSE] = max(0.0, seconds - ours)
    return dict(found)
