"""The change of one metric of one configuration between two sweeps, and its standard error. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from capsexp.analysis import statistics
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.metrics.metric import LOWER
from capsexp.analysis.statistics import FEWEST, Gap

LEVEL = 0.05  # of checks of equal servers may be called a change; of changed ones the same
Placed = tuple[int, float]  # the number of a run in its sweep, which is the order of runs, and a value


@dataclass(frozen=True)
class Comparison:
    """`loss`: after - before, positive for the worse; `least`: the change that matters, on the same scale; both are
    logarithms unless the metric is an error rate (`rate`). `trials`: of each of the two; `sweeps`: baselines."""

    key: str
    metric: str
    before: float
    after: float
    loss: Gap
    least: float
    rate: bool = False
    trials: int = FEWEST
    sweeps: int = 1


def compared(key: str, metric: str, before: Sequence[float], after: Sequence[float], least: float) -> Comparison | None:
    """Of a positive figure's values, one of each trial; None below 3 in either."""
    return _made(key, metric, (before, after), statistics.gap(after, before), least)


def among(
    key: str, metric: str, before: Sequence[Sequence[float]], after: Sequence[float], least: float
) -> Comparison | None:
    """Of a positive figure's values in each of several equal sweeps and in a later one; None below 3 sweeps."""
    if not after or not all(before):
        return None
    middles, now = [statistics.centre(values) for values in before], statistics.centre(after)
    made = _made(key, metric, (middles, [now]), statistics.gap_to_one(now, middles), least)
    return made and replace(made, sweeps=len(middles))


def interleaved(
    key: str, metric: str, before: Sequence[Placed], after: Sequence[Placed], least: float
) -> Comparison | None:
    """As `compared`, of runs of both that were made in turn, so that what the machine did meanwhile is taken out."""
    values = [[value for _, value in side] for side in (before, after)]
    return _made(key, metric, values, statistics.gap_in_turn(after, before), least)


def _made(
    key: str, metric: str, values: Sequence[Sequence[float]], rise: Gap | None, least: float
) -> Comparison | None:
    if rise is None:
        return None
    loss = rise if BY_TAG[metric].better == LOWER else replace(rise, value=-rise.value)
    was, now = map(statistics.centre, values)
    return Comparison(key, metric, was, now, loss, math.log1p(least), trials=min(map(len, values)))


def errors(key: str, metric: str, old: Sequence[Observed], new: Sequence[Observed], least: float) -> Comparison | None:
    """An error rate, of the samples that both sweeps have: what varies is the sample (Cochran, Sampling Techniques,
    1977, 6.3), and its words are the same in both."""
    rates = [_by_sample(runs, metric) for runs in (old, new)]
    both = [name for name in rates[0] if name in rates[1]]
    words = sum(rates[0][name][1] for name in both)
    if len(both) < statistics.FEWEST_SAMPLES or not words:
        return None
    before, after = (sum(rate[name][0] for name in both) / words for rate in rates)
    loss, count = after - before, len(both)
    rest = [rates[1][name][0] - rates[0][name][0] - loss * rates[0][name][1] for name in both]
    error = math.sqrt(count / (count - 1) * sum(each**2 for each in rest)) / words
    return Comparison(key, metric, before, after, Gap(loss, error, count - 1), least * before, rate=True)


def _by_sample(runs: Sequence[Observed], metric: str) -> dict[str, tuple[float, float]]:
    """Errors and words of each sample, the mean over the runs that know it."""
    found: dict[str, list[tuple[int, int]]] = {}
    for one in runs:
        for sample, errors in (one.judged.errors if one.judged else {}).items():
            if metric in errors:
                found.setdefault(sample, []).append(errors[metric])
    return {
        sample: (sum(e for e, _ in each) / len(each), sum(w for _, w in each) / len(each))
        for sample, each in found.items()
    }


def enough(one: Comparison) -> int | None:
    """Trials of each sweep of which two equal ones are told from two that differ by what matters, if they vary as these
    did; None where no reasonable number would do."""
    spread = one.loss.error * math.sqrt(one.trials)
    for trials in range(one.trials + 1, statistics.MOST_TRIALS):
        if statistics.student(1 - LEVEL, 2 * trials - 2) * spread / math.sqrt(trials) < one.least / 2:
            return trials
    return None
