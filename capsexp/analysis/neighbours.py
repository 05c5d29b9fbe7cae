"""Who else used the CPUs, from the rows of neighbours.csv. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.results.rows import Row


def took(rows: Sequence[Row], start: float, end: float) -> list[tuple[str, float]]:
    """CPU seconds by name, from the last look at or before `start` to the first at or after `end`; the most first."""
    times = sorted({row["time_s"] for row in rows})
    if not times:
        return []
    first = max((t for t in times if t <= start), default=times[0])
    last = min((t for t in times if t >= end), default=times[-1])
    at = {time: {row["name"]: row["cpu_s"] for row in rows if row["time_s"] == time} for time in (first, last)}
    spent = {name: seconds - at[first].get(name, 0.0) for name, seconds in at[last].items()}
    return sorted(((n, s) for n, s in spent.items() if s > 0), key=lambda pair: (-pair[1], pair[0]))
