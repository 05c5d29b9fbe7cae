"""Speeds of many configurations of which each has had few runs. Pure.

Every trial is a block that the machine's drift shifts as a whole: the logarithm of a run's speed is that of its
configuration, plus its trial, plus noise, fitted by least squares to all runs that count (the two-way layout without
interaction, of unequal numbers: Searle, Linear Models, 1971, chapter 7). The noise is taken to be alike for all
configurations, so that all runs together tell it, and an interval can be had for one that has had one run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capsexp.analysis import statistics
from capsexp.analysis.aggregate import Observed

Speeds = Mapping[str, Mapping[int, float]]  # RTFx of the runs that count, by key and trial


def speeds_of(observed: Sequence[Observed]) -> Speeds:
    """Of the runs that count."""
    found: dict[str, dict[int, float]] = {}
    for one in observed:
        reached = one.figures.throughput_rtfx if one.figures and not one.disturbed else None
        if reached:
            found.setdefault(one.run.key, {})[one.run.trial] = reached
    return found


@dataclass(frozen=True)
class Fit:
    """Logarithms of speeds by key, as they are in the average trial, the noise of a run with its degrees of freedom (0:
    nothing tells), and how well the speeds are known: their covariance in units of that noise squared."""

    keys: tuple[str, ...]
    logs: tuple[float, ...]
    noise: float
    degrees: int
    covariance: NDArray[np.float64]

    def log(self, key: str) -> float:
        """Of its speed; of one without runs less than that of any other."""
        return self.logs[self.keys.index(key)] if key in self.keys else -math.inf

    def surely(self, fast: str, slow: str, chance: float) -> float:
        """What the one is at least faster than the other by, as a logarithm, but for a `chance` of being wrong."""
        if not self.degrees:
            return -math.inf
        between, error = self._gap(fast, slow)
        return between - statistics.student(1 - chance, self.degrees) * error

    def ratio(self, one: str, other: str, level: float) -> statistics.Interval | None:
        """Interval of how many times as fast the one is; None where nothing tells."""
        if not self.degrees or not {one, other} <= set(self.keys):
            return None
        between, error = self._gap(one, other)
        half = statistics.two_sided(self.degrees, level) * error
        return math.exp(between - half), math.exp(between + half)

    def speed(self, key: str, level: float = 0.95) -> tuple[float, statistics.Interval | None]:
        """RTFx in the average trial, and its interval."""
        at = self.keys.index(key)
        value = math.exp(self.logs[at])
        if not self.degrees:
            return value, None
        error = self.noise * math.sqrt(max(0.0, float(self.covariance[at, at])))
        half = math.exp(statistics.two_sided(self.degrees, level) * error)
        return value, (value / half, value * half)

    def _gap(self, one: str, other: str) -> tuple[float, float]:
        """The difference of the logarithms of two speeds, and its standard error."""
        a, b, known = self.keys.index(one), self.keys.index(other), self.covariance
        spread = float(known[a, a] + known[b, b] - 2 * known[a, b])
        return self.logs[a] - self.logs[b], self.noise * math.sqrt(max(0.0, spread))


def fit(speeds: Speeds) -> Fit:
    """Of the configurations that have a run which counts. Those that share no trial with others, not even by way of a
    third, are compared by their speeds as they are."""
    keys = tuple(key for key, own in speeds.items() if own)
    trials = sorted({trial for own in speeds.values() for trial in own})
    runs = [(keys.index(key), trials.index(trial), value) for key in keys for trial, value in speeds[key].items()]
    design = np.zeros((len(runs), len(keys) + max(0, len(trials) - 1)))  # the first trial is what others differ from
    for row, (key, trial, _) in enumerate(runs):
        design[row, key] = 1.0
        if trial:
            design[row, len(keys) + trial - 1] = 1.0
    logs = np.log([value for _, _, value in runs])
    inverse = np.linalg.pinv(design.T @ design) if runs else np.zeros((0, 0))
    found = inverse @ design.T @ logs
    degrees = len(runs) - int(np.linalg.matrix_rank(design)) if runs else 0
    left = float(np.sum((logs - design @ found) ** 2))
    average = np.full((len(keys), design.shape[1]), 1 / max(1, len(trials)))  # of a configuration in every trial
    average[:, : len(keys)] = np.eye(len(keys))
    noise = math.sqrt(left / degrees) if degrees else 0.0
    return Fit(keys, tuple((average @ found).tolist()), noise, degrees, average @ inverse @ average.T)
