"""Whether the CPUs themselves were equally fast in all runs, from the rows of speed.csv. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from capsexp.results.rows import Row

FEWEST = 3  # looks at a run's load, before anything is said
MUCH = 1.15  # times as slow


def work_us(rows: Sequence[Row], window: tuple[float, float] | None) -> float | None:
    """The mean CPU time of the fixed piece of work during the load, in microseconds; None where it was timed too
    seldom."""
    if window is None:
        return None
    inside = [row["work_us"] for row in rows if window[0] <= row["time_s"] <= window[1] and row["work_us"] is not None]
    return fmean(inside) if len(inside) >= FEWEST else None


def slowest(timed: Mapping[str, Sequence[float]]) -> tuple[str, float] | None:
    """The configuration whose runs differ most in `work_us`, and how many times as long the work took in the slowest
    as in the fastest; None where that is not much. Only runs of one configuration are compared: the server's own
    effect on the CPUs is alike in them."""
    found = {key: max(times) / min(times) for key, times in timed.items() if len(times) > 1 and min(times) > 0}
    key = max(found, key=lambda key: found[key], default=None)
    return None if key is None or found[key] < MUCH else (key, found[key])
