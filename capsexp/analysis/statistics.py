"""Intervals for figures that vary from trial to trial. Pure.

Times, ratios and sizes get 95 % Student t intervals of logarithms: they are positive and skewed to the right, and their
logarithms are near enough to normal for the few trials there are (a bootstrap of 3 covers 75-90 %, not 95).
The paired form takes the ratio within each trial first, so that drift of the machine from trial to trial cancels:
see Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, for both points. Peak memory has none:
it is the highest of the trials, which more trials can only raise. Error rates vary with the utterance, not the trial:
see `rate`. An interval is one of 95 %, unless `level` says otherwise: see sequential.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, mean, stdev

Interval = tuple[float, float]

FEWEST = 3  # trials, before two groups are told apart
FEWEST_FOR_INTERVAL = 2  # one value says nothing of how it varies
FEWEST_SAMPLES = 5
MOST_TRIALS = 100


@lru_cache(maxsize=1000)
def student(share: float, degrees: float) -> float:
    """A quantile of Student's t."""
    from scipy.special import stdtrit  # slow to import, and needed where a report is made only

    return float(stdtrit(degrees, share))


def two_sided(degrees: float, level: float = 0.95) -> float:
    """Two-sided critical value of Student's t: it lies within +- this of zero with probability `level`."""
    return student((1 + level) / 2, degrees)


def centre(values: Sequence[float]) -> float:
    """The geometric mean of positive values; the arithmetic one where any is not, as counts of seconds may be zero."""
    if min(values) <= 0:
        return mean(values)
    first, logs = _logs(values)
    return first * math.exp(mean(logs))


def interval(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Interval of the geometric mean of positive values; None below 2 of them."""
    if len(values) < FEWEST_FOR_INTERVAL or min(values) <= 0:
        return None
    first, logs = _logs(values)
    low, high = _student(logs, level)
    return first * math.exp(low), first * math.exp(high)


def _logs(values: Sequence[float]) -> tuple[float, list[float]]:
    """Logarithms of ratios to the first: of equal values they are exactly zero, so that a value which is the limit
    keeps it."""
    return values[0], [math.log(value / values[0]) for value in values]


def interval_of_mean(values: Sequence[float], level: float = 0.95) -> Interval | None:
    """Interval of the mean of values of any sign, such as differences; None below 2 of them."""
    return _student(values, level) if len(values) >= FEWEST_FOR_INTERVAL else None


def _student(values: Sequence[float], level: float) -> Interval:
    middle, half = mean(values), two_sided(len(values) - 1, level) * stdev(values) / math.sqrt(len(values))
    return middle - half, middle + half


def width(found: Interval | None) -> float | None:
    """How well a positive figure is known: half the width of its interval, as a share of it."""
    return None if found is None else math.sqrt(found[1] / found[0]) - 1


def ratios(numerators: Mapping[int, float], denominators: Mapping[int, float]) -> list[float]:
    """The ratio within each trial that both have."""
    return [numerators[trial] / denominators[trial] for trial in sorted(numerators.keys() & denominators.keys())]


@dataclass(frozen=True)
class Gap:
    """A difference of two means, its standard error and the degrees of freedom of Student's t for it."""

    value: float
    error: float
    degrees: float

    def half(self, level: float) -> float:
        """Half the width of its confidence interval. `level`: error probability of both sides together (0.05 for a 95 %
        interval), unlike `level` elsewhere in this module."""
        return student(1 - level / 2, self.degrees) * self.error

    @property
    def chance(self) -> float:
        """How often a difference at least as large, in either direction, comes of means that are equal."""
        if not self.error:
            return float(not self.value)
        from scipy.special import stdtr

        return float(2 * stdtr(self.degrees, -abs(self.value) / self.error))


def gap(numerators: Sequence[float], denominators: Sequence[float]) -> Gap | None:
    """Between the means of the logarithms of two independent groups of positive values, by Welch's t (Welch,
    Biometrika 34, 1947), as two machines need not vary alike. None below 3 values in either."""
    if min(len(numerators), len(denominators)) < FEWEST or min(*numerators, *denominators) <= 0:
        return None
    first = denominators[0]
    new, old = ([math.log(value / first) for value in group] for group in (numerators, denominators))
    shares = [stdev(group) ** 2 / len(group) for group in (new, old)]
    known = sum(share**2 / (len(group) - 1) for share, group in zip(shares, (new, old), strict=True))
    return Gap(mean(new) - mean(old), math.sqrt(sum(shares)), sum(shares) ** 2 / known if known else 1.0)


def gap_in_turn(numerators: Sequence[tuple[float, float]], denominators: Sequence[tuple[float, float]]) -> Gap | None:
    """As `gap`, of runs of both groups in turn, each (its place in that order, its value): analysis of covariance with
    the place as covariate (Cochran, Biometrics 13, 1957), so that a machine that gets steadily slower or faster is no
    difference. A drift that comes and goes stays in the noise, where it widens the limits."""
    if min(len(numerators), len(denominators)) < FEWEST or min(v for _, v in (*numerators, *denominators)) <= 0:
        return None
    first = denominators[0][1]
    groups = [[(place, math.log(value / first)) for place, value in group] for group in (numerators, denominators)]
    centres = [(mean(x for x, _ in group), mean(y for _, y in group)) for group in groups]
    rests = [(x - at, y - to) for group, (at, to) in zip(groups, centres, strict=True) for x, y in group]
    along = sum(x * x for x, _ in rests)
    slope = sum(x * y for x, y in rests) / along
    apart, higher = (new - old for new, old in zip(*centres, strict=True))
    degrees = len(rests) - 3
    variance = sum((y - slope * x) ** 2 for x, y in rests) / degrees
    share = sum(1 / len(group) for group in groups) + apart**2 / along
    return Gap(higher - slope * apart, math.sqrt(variance * share), degrees)


def gap_to_one(value: float, others: Sequence[float]) -> Gap | None:
    """Between the logarithms of a further value and the mean of those known, all positive: the prediction interval of
    one future observation (Hahn, Journal of the American Statistical Association 64, 1969). None below 3 others."""
    if len(others) < FEWEST or min(value, *others) <= 0:
        return None
    logs = [math.log(other / value) for other in others]
    return Gap(-mean(logs), stdev(logs) * math.sqrt(1 + 1 / len(logs)), len(logs) - 1)


def unpaired(numerators: Sequence[float], denominators: Sequence[float]) -> Interval | None:
    """95 % interval for the ratio of two geometric means of independent groups of positive values (see `gap`). None
    below 3 values in either."""
    found = gap(numerators, denominators)
    if found is None:
        return None
    return math.exp(found.value - found.half(0.05)), math.exp(found.value + found.half(0.05))


def rate(counts: Sequence[tuple[float, float]]) -> Interval | None:
    """95 % interval for an error rate from (errors, words) of each sample; None below 5 samples.

    The words of a sample share a voice and a room, so samples are what varies: the variance is that of a ratio of two
    sums over samples (Cochran, Sampling Techniques, 1977, 6.3). It becomes an effective number of words for Wilson's
    interval, with Student's t for the few samples (Korn and Graubard, Survey Methodology 24, 1998), because the plain
    interval of a small rate reaches below zero and covers 80-90 % where this one covers 92-98. Trials do not count:
    the same sample gives the same text again.
    """
    count, words = len(counts), sum(n for _, n in counts)
    if count < FEWEST_SAMPLES or not words:
        return None
    found = sum(errors for errors, _ in counts) / words
    variance = count / (count - 1) * sum((errors - found * n) ** 2 for errors, n in counts) / words**2
    z, t = NormalDist().inv_cdf(0.975), two_sided(count - 1)
    if found >= 1:  # more insertions than words: no proportion
        half = t * math.sqrt(variance)
        return found - half, found + half
    effective = min(float(words), found * (1 - found) / variance * (z / t) ** 2) if variance else float(words)
    middle = (found + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(found * (1 - found) / effective + z**2 / (4 * effective**2))
    return max(0.0, middle - half), middle + half


def quantile_interval(values: Sequence[float], share: float, level: float = 0.95) -> Interval | None:
    """Interval for a quantile, from the ordered values themselves (Conover, Practical Nonparametric Statistics,
    3.2, by the normal approximation of the binomial); None where they are too few to hold it on both sides."""
    ordered, z = sorted(values), NormalDist().inv_cdf((1 + level) / 2)
    half = z * math.sqrt(len(values) * share * (1 - share))
    low, high = math.floor(len(ordered) * share - half), math.ceil(len(ordered) * share + half)
    return (ordered[low - 1], ordered[high - 1]) if low >= 1 and high <= len(ordered) else None


def trials_to_settle(values: Sequence[float], limit: float, logs: bool = True, level: float = 0.95) -> int | None:
    """How many trials in all would bring the interval clear of `limit`, if their spread stays what it is; None where
    no reasonable number would. `logs`: positive values, compared on logarithms."""
    if len(values) < 2 or (logs and min(*values, limit) <= 0):
        return None
    scale = math.log if logs else float
    scaled = [scale(value) for value in values]
    distance, spread = abs(mean(scaled) - scale(limit)), stdev(scaled)
    for count in range(len(scaled) + 1, MOST_TRIALS):
        if two_sided(count - 1, level) * spread / math.sqrt(count) < distance:
            return count
    return None
