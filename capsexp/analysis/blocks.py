"""Speeds of many configurations of which each has had few runs. Pure.

Every trial is a block that the machine's drift shifts as a whole: the logarithm of a run's speed is that of its
configuration, plus its trial, plus noise, fitted by least squares to all runs that count (the two-way layout without
interaction, of unequal numbers: Searle, Linear Models, 1971, chapter 7). The noise is taken to be alike for all
configurations, so that all runs together tell it, and an interval can be had for one that has had one run.

Configurations are connected where they share a trial, directly or by way of others. Between those that are not, the
difference of two speeds cannot be told from that of their trials: such parts are fitted each by itself.
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
        reached = one.figures.throughput_rtfx if one.counts and one.figures else None
        if reached:
            found.setdefault(one.run.key, {})[one.run.trial] = reached
    return found


@dataclass(frozen=True)
class Fit:
    """`logs`: logarithm of the speed (RTFx) of each of `keys`, in the average trial of its connected part. `noise`:
    residual standard deviation of a run, with its `degrees` of freedom (0: there is no interval). `covariance`: of
    `logs`, in units of noise squared. `parts`: number of the connected part of each key."""

    keys: tuple[str, ...]
    logs: tuple[float, ...]
    noise: float
    degrees: int
    covariance: NDArray[np.float64]
    parts: tuple[int, ...]

    def log(self, key: str) -> float:
        """Of its speed; of one without runs less than that of any other."""
        return self.logs[self.keys.index(key)] if key in self.keys else -math.inf

    def surely(self, fast: str, slow: str, chance: float) -> float:
        """Lower confidence bound of log(speed of `fast` / speed of `slow`), wrong with probability `chance`; -infinity
        where they cannot be compared."""
        if not self._comparable(fast, slow):
            return -math.inf
        between, error = self._gap(fast, slow)
        return between - statistics.student(1 - chance, self.degrees) * error

    def ratio(self, one: str, other: str, level: float) -> statistics.Interval | None:
        """Interval of how many times as fast the one is; None where nothing tells."""
        if not self._comparable(one, other):
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

    def _comparable(self, one: str, other: str) -> bool:
        if not self.degrees or not {one, other} <= set(self.keys):
            return False
        return self.parts[self.keys.index(one)] == self.parts[self.keys.index(other)]

    def _gap(self, one: str, other: str) -> tuple[float, float]:
        """The difference of the logarithms of two speeds, and its standard error."""
        a, b, known = self.keys.index(one), self.keys.index(other), self.covariance
        spread = float(known[a, a] + known[b, b] - 2 * known[a, b])
        return self.logs[a] - self.logs[b], self.noise * math.sqrt(max(0.0, spread))


def fit(speeds: Speeds) -> Fit:
    """Of the configurations that have a run which counts."""
    parts = _connected(speeds)
    place = {key: at for at, key in enumerate(key for part in parts for key in part)}
    logs, covariance = np.zeros(len(place)), np.zeros((len(place), len(place)))
    left, degrees = 0.0, 0
    for part in parts:
        own = np.array([place[key] for key in part])
        fitted = _least_squares(part)
        logs[own], covariance[np.ix_(own, own)] = fitted.logs, fitted.covariance
        left, degrees = left + fitted.left, degrees + fitted.degrees
    noise = math.sqrt(left / degrees) if degrees else 0.0
    within = tuple(number for number, part in enumerate(parts) for _ in part)
    return Fit(tuple(place), tuple(logs.tolist()), noise, degrees, covariance, within)


def _connected(speeds: Speeds) -> list[Speeds]:
    """The parts that share no trial."""
    parts: list[dict[str, Mapping[int, float]]] = []
    for key, own in speeds.items():
        if own:
            near = [part for part in parts if own.keys() & _trials(part)]
            parts = [part for part in parts if part not in near]
            parts.append({**{k: v for part in near for k, v in part.items()}, key: own})
    return list(parts)


def _trials(part: Speeds) -> set[int]:
    return {trial for own in part.values() for trial in own}


@dataclass(frozen=True)
class _Fitted:
    """Of one part; `left`: the sum of squares that the fit leaves."""

    logs: NDArray[np.float64]
    covariance: NDArray[np.float64]
    left: float
    degrees: int


def _least_squares(part: Speeds) -> _Fitted:
    """Of configurations that are connected: then all differences have one estimate."""
    keys, trials = list(part), sorted(_trials(part))
    runs = [(keys.index(key), trials.index(trial), value) for key in keys for trial, value in part[key].items()]
    design = np.zeros((len(runs), len(keys) + len(trials) - 1))  # the first trial is what others differ from
    for row, (key, trial, _) in enumerate(runs):
        design[row, key] = 1.0
        if trial:
            design[row, len(keys) + trial - 1] = 1.0
    values = np.log([value for _, _, value in runs])
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ values
    average = np.full((len(keys), design.shape[1]), 1 / len(trials))  # of a configuration in every trial
    average[:, : len(keys)] = np.eye(len(keys))
    left = float(np.sum((values - design @ found) ** 2))
    return _Fitted(average @ found, average @ inverse @ average.T, left, len(runs) - design.shape[1])
