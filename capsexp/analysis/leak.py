"""Detects memory leaks: a robust slope over the steady state of a long run. Pure.

The steady state is found, not assumed: MSER-5 (White, Cobb and Spratt, "A comparison of five steady-state truncation
heuristics for simulation", WSC 2000) cuts off the beginning whose removal makes the standard error of the mean of the
rest smallest, at most half. The slope is Theil's and Sen's median of pairwise slopes, its interval Sen's from Kendall's
statistic (Sen, JASA 63, 1968), over batch medians, as neighbouring samples of memory are anything but independent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median

from capsexp.results.report import Leak, Slope
from capsexp.results.rows import Row
from capsexp.results.tables import SERVER_ROLES

Points = Sequence[tuple[float, float]]

BATCHES = 60  # at most: their number of pairs is what a slope costs
FEWEST_BATCHES = 12
GROUP = 5  # samples: the 5 of MSER-5
HOUR = 3600.0


def watch(monitor: list[Row], metric: str | None, window: tuple[float, float] | None, least_s: float) -> Leak:
    """Slopes in MB/h with 95 % intervals, of the server as a whole (`mb_per_h`) and of each role, from memory `metric`
    (pss or uss). Slopes are null, and `steady_s` says how long it was, where the steady state is below `least_s`."""
    if metric is None or window is None:
        return Leak()
    totals: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for row in monitor:
        mb = row[f"{metric}_mb"]
        if mb is not None and window[0] <= row["time_s"] <= window[1]:
            for name in [row["role"], *(["server"] if row["role"] in SERVER_ROLES else [])]:
                totals[name][row["time_s"]] += mb
    series = {name: sorted(total.items()) for name, total in totals.items()}
    if "server" not in series:
        return Leak()
    whole = steady(series["server"])
    seconds = whole[-1][0] - whole[0][0]
    if seconds < least_s:
        return Leak(steady_s=seconds)
    since = whole[0][0]
    roles = {name: _slope([p for p in own if p[0] >= since]) for name, own in sorted(series.items())}
    total = roles.pop("server")
    return Leak(mb_per_h=total.mb_per_h, ci95=total.ci95, roles=roles, steady_s=seconds)


def _slope(points: Points) -> Slope:
    found = slope(batches(points))
    if found is None:
        return Slope()
    middle, low, high = (HOUR * value for value in found)
    return Slope(mb_per_h=middle, ci95=(low, high))


def steady(points: Points) -> Points:
    """What is left after MSER-5; all of it where there are too few points to tell."""
    means = [fmean(mb for _, mb in points[at : at + GROUP]) for at in range(0, len(points) - GROUP + 1, GROUP)]
    if len(means) < 4:
        return points
    best, cut = math.inf, 0
    # From the end, sums of what is left cost one step each.
    total = squares = 0.0
    shift = means[-1]  # keeps the squares small: memory is large beside its changes
    for at in range(len(means) - 1, -1, -1):
        total, squares, count = total + means[at] - shift, squares + (means[at] - shift) ** 2, len(means) - at
        if at <= len(means) // 2:
            error = max(0.0, squares - total**2 / count) / count**2
            if error <= best:
                best, cut = error, at
    return points[cut * GROUP :]


def batches(points: Points) -> Points:
    """Medians of time and value over at most BATCHES groups of neighbours."""
    size = max(1, math.ceil(len(points) / BATCHES))
    groups = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    return [(median(t for t, _ in g), median(v for _, v in g)) for g in groups]


def slope(points: Points) -> tuple[float, float, float] | None:
    """Theil-Sen slope and its 95 % interval; None for fewer than FEWEST_BATCHES points."""
    if len(points) < FEWEST_BATCHES:
        return None
    from scipy.stats import theilslopes  # slow to import, and needed for long runs only

    found = theilslopes([mb for _, mb in points], [at for at, _ in points], alpha=0.95)
    return float(found.slope), float(found.low_slope), float(found.high_slope)
