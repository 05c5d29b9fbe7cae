"""Intervals for figures that vary from trial to trial. Pure.

All are 95 % Student t intervals of logarithms: times and ratios of times are positive and skewed to the right, and
their logarithms are near enough to normal for the few trials there are (a bootstrap of 3 covers 75-90 %, not 95).
The paired form takes the ratio within each trial first, so that drift of the machine from trial to trial cancels:
see Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, for both points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, mean, stdev

Interval = tuple[float, float]

FEWEST = 3  # below this many trials an interval says nothing
MOST_TRIALS = 100

# Two-sided 95 % quantiles of Student's t for 1 to 10 degrees of freedom.
_T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


def t975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t; beyond the table by its expansion in 1/degrees (Abramowitz and Stegun
    26.7.5), right to 1e-4 there."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the geometric mean of positive values; None below 3 of them."""
    if len(values) < FEWEST or min(values) <= 0:
        return None
    logs = [math.log(value) for value in values]
    middle, half = mean(logs), t975(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle - half), math.exp(middle + half)


def ratios(numerators: dict[int, float], denominators: dict[int, float]) -> list[float]:
    """The ratio within each trial that both have."""
    return [numerators[trial] / denominators[trial] for trial in sorted(numerators.keys() & denominators.keys())]


def trials_to_settle(values: Sequence[float], limit: float) -> int | None:
    """How many trials in all would bring the interval clear of `limit`, if their spread stays what it is; None where
    no reasonable number would."""
    logs = [math.log(value) for value in values]
    distance, spread = abs(mean(logs) - math.log(limit)), stdev(logs)
    for count in range(len(logs) + 1, MOST_TRIALS):
        if t975(count - 1) * spread / math.sqrt(count) < distance:
            return count
    return None
