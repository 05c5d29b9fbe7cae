"""How throughput and memory go on with more workers: a law and a line, fitted to what was measured. Pure.

Throughput follows Gunther's Universal Scalability Law (Guerrilla Capacity Planning, 2007, ch. 4-5),
X(N) = lambda N / (1 + sigma (N-1) + kappa N (N-1)): sigma is what the workers queue for, kappa what they spend on
keeping each other informed. N / X(N) is linear in 1/lambda, sigma/lambda and kappa/lambda, so the fit is least squares
with nonnegative coefficients on relative errors; there is nothing to iterate and no start to choose.

The law is smooth and cannot bend where the cores end. Workers that need a core each are counted up to the number of
cores only; beyond, the throughput stays, or falls by as much as it was measured to fall.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import geometric_mean

import numpy as np
from numpy.typing import NDArray

from capsexp.analysis.statistics import Interval, two_sided
from capsexp.results import report as results
from capsexp.results.report import Configuration, Machine, MemoryLine, Prediction, Scaling

LEAST_COUNTS = 3  # the law has as many coefficients: from fewer worker counts nothing is predicted
FEWEST_COUNTS = 5  # below this many worker counts a fit is uncertain
MOST_ROWS = 8
MEMORY_GB = (8, 16, 24, 32)
CORES = (2, 4, 8, 16)
NEEDS_A_CORE = 0.5  # CPUs used per thread, from which on a recognizer is taken to need cores
Vector = NDArray[np.float64]


class Fit:
    """Least squares of y on the columns of x with nonnegative coefficients, in relative errors of y; the first
    coefficient is at least `least`."""

    def __init__(self, x: Vector, y: Vector, least: float = 0.0) -> None:
        x, ones = x / y[:, None], np.ones(len(y))
        from scipy.optimize import nnls  # slow to import, and needed where a report is made only

        self.coefficients: Vector = nnls(x, ones - least * x[:, 0])[0]
        self.coefficients[0] += least
        # Intervals come from the fit without signs: its theory is exact, also where a true coefficient is zero.
        free, *_ = np.linalg.lstsq(x, ones, rcond=None)
        self._free, self._degrees = free, len(y) - x.shape[1]
        self._inverse = np.linalg.pinv(x.T @ x)
        self._squares = float(((ones - x @ free) ** 2).sum())

    def at(self, row: Vector) -> float:
        return float(row @ self.coefficients)

    def interval(self, row: Vector) -> Interval:
        """95 % prediction interval for one more measurement, from more points than coefficients (Draper and Smith,
        Applied Regression Analysis, 3.1)."""
        middle = max(float(row @ self._free), 1e-12)
        spread = self._squares / self._degrees * (middle**2 + float(row @ self._inverse @ row))
        half = two_sided(self._degrees) * math.sqrt(spread)
        return min(middle - half, self.at(row)), max(middle + half, self.at(row))


class Law:
    """The Universal Scalability Law through points (workers, throughput in x real time), capped at `cap` workers."""

    def __init__(self, points: Mapping[int, float], cap: int | None = None) -> None:
        self.cap = cap
        below = {n: x for n, x in points.items() if cap is None or n <= cap} or {cap or 1: points[min(points)]}
        counts = np.array(sorted(below), float)
        self.counts = len(below)
        self._columns = min(self.counts, 3)
        # Nothing says how fast a single worker is where none was measured and more of them were slower: no faster than
        # the fastest of all.
        self.fit = Fit(self._rows(counts), counts / np.array([below[int(n)] for n in counts]), 1 / max(below.values()))
        self.beyond = 1.0
        over = [x for n, x in points.items() if cap is not None and n > cap]
        if over and cap is not None:
            self.beyond = min(1.0, geometric_mean(over) / self._law(cap))

    def _rows(self, n: Vector) -> Vector:
        columns: Vector = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
        return columns[:, : self._columns]

    @property
    def parameters(self) -> results.Law:
        """The rate in the unit of throughput, sigma and kappa without one."""
        a, b, c = [*self.fit.coefficients, 0.0, 0.0][:3]
        return results.Law(rate=float(1 / a), sigma=float(b / a), kappa=float(c / a))

    def _law(self, n: float) -> float:
        return n / self.fit.at(self._rows(np.array([n], float))[0])

    def _effective(self, n: int) -> tuple[int, float]:
        over = self.cap is not None and n > self.cap
        return (self.cap or n, self.beyond) if over else (n, 1.0)

    def uncapped(self, n: int) -> float:
        """Of `n` workers that have as many cores as they need."""
        return self._law(n)

    def at(self, n: int) -> float:
        """Predicted throughput of `n` workers."""
        count, factor = self._effective(n)
        return factor * self._law(count)

    def interval(self, n: int) -> Interval | None:
        """95 % prediction interval; None from fewer than FEWEST_COUNTS worker counts."""
        if self.counts < FEWEST_COUNTS:
            return None
        count, factor = self._effective(n)
        found = self.fit.interval(self._rows(np.array([count], float))[0])
        least = 1 / self.parameters.rate  # no faster than without any loss
        low, high = max(found[0], least), max(found[1], least)
        return factor * count / high, factor * count / low


class MemoryModel:
    """Memory of the server in MB over its workers: what there is once, and what each worker adds."""

    def __init__(self, points: Mapping[int, float]) -> None:
        counts = np.array(sorted(points), float)
        self.counts = len(counts)
        self.fit = Fit(self._rows(counts), np.array([points[int(n)] for n in counts]))
        self.base_mb, self.per_worker_mb = (float(v) for v in self.fit.coefficients)

    @staticmethod
    def _rows(n: Vector) -> Vector:
        return np.stack([np.ones_like(n), n], axis=1)

    def at(self, n: int) -> float:
        return self.base_mb + self.per_worker_mb * n

    def interval(self, n: int) -> Interval | None:
        if self.counts < FEWEST_COUNTS:
            return None
        return self.fit.interval(self._rows(np.array([n], float))[0])

    def largest(self, limit_mb: float) -> int | None:
        """The most workers that stay within `limit_mb`; None where workers cost nothing."""
        if self.per_worker_mb <= 0:
            return None
        return max(0, math.floor((limit_mb - self.base_mb) / self.per_worker_mb + 1e-9))


def needs_cores(configurations: Sequence[Configuration], cpus: float) -> bool | None:
    """Whether the recognizer uses the CPU, from what was measured; None when it was not."""
    used = [
        share * cpus / min(c.workers * (c.threads or 1), cpus)
        for c in configurations if (share := c.value("cpu_utilisation")) is not None and c.workers
    ]  # fmt: skip
    return max(used) >= NEEDS_A_CORE if used else None


def extrapolate(
    configurations: Sequence[Configuration],
    cpus: float,
    memory_limit_mb: float | None,
    tolerance: float = 0.05,
    reserve_mb: float = 2048.0,
) -> Scaling | None:
    """The fits of one group, which differs in workers only, and rows that go on from it, up to twice its largest
    count: each marked *predicted*, for there is nothing measured in it; none from fewer than LEAST_COUNTS counts, as a
    law through two of them is whatever two points say. None with fewer than two counts."""
    speeds = {c.workers: speed for c in configurations if c.workers and (speed := c.value("throughput_rtfx"))}
    peaks = {c.workers: peak for c in configurations if c.workers and (peak := c.value("peak_memory_mb"))}
    if len(speeds) < 2:
        return None
    first, cores = configurations[0], needs_cores(configurations, cpus)
    threads = first.threads or 1
    cap = max(1, int(cpus // threads)) if cores is not False else None
    law, line = Law(speeds, cap), MemoryModel(peaks) if len(peaks) > 1 else None
    enough, largest = len(speeds) >= LEAST_COUNTS, max(speeds)
    # On more cores the law goes on where it ended here: it has to be known by itself.
    known = law.counts >= LEAST_COUNTS
    rows = reversed(range(2 * largest, largest, -math.ceil(largest / MOST_ROWS))) if enough else ()
    return Scaling(
        threads=threads,
        pool=first.pool or "",
        engine=first.engine or "",
        keys=tuple(c.key for c in configurations),
        counts=tuple(sorted(speeds)),
        fitted=law.counts,
        guess=law.counts < FEWEST_COUNTS,
        enough=enough,
        uses_cpu=cores,
        cap_workers=cap,
        beyond_cap=law.beyond if cap and largest > cap else None,
        law=law.parameters if known else None,
        memory=_memory(line, memory_limit_mb) if line and enough else None,
        predicted=tuple(_row(law, line, n) for n in rows),
        by_machine=tuple(_by_machine(law, line, threads, cores is not False, tolerance, reserve_mb)) if known else (),
    )


def _memory(line: MemoryModel, limit_mb: float | None) -> MemoryLine:
    largest = line.largest(limit_mb) if limit_mb else None
    return MemoryLine(
        base_mb=line.base_mb, per_worker_mb=line.per_worker_mb, limit_mb=limit_mb, largest_within_limit=largest
    )


def _row(law: Law, line: MemoryModel | None, workers: int) -> Prediction:
    return Prediction(
        workers=workers,
        throughput_rtfx=law.at(workers),
        throughput_ci95=law.interval(workers),
        peak_memory_mb=line.at(workers) if line else None,
        peak_ci95=line.interval(workers) if line else None,
    )


def _by_machine(
    law: Law, line: MemoryModel | None, threads: int, cores: bool, tolerance: float, reserve_mb: float
) -> list[Machine]:
    """Recommended workers for machines of other sizes, were their cores like these: the fewest within `tolerance` of
    the best throughput, of those that fit into the memory less what is left to everything else; 0: none fits."""
    found = []
    for gb in MEMORY_GB:
        room = line.largest(gb * 1024 - reserve_mb) if line else None
        for cpus in CORES:
            most = max(1, cpus // threads) if cores else 4 * cpus
            most = most if room is None else min(most, room)
            speeds = [law.uncapped(n) for n in range(1, most + 1)]
            workers = next((n for n, x in enumerate(speeds, 1) if x >= (1 - tolerance) * max(speeds)), 0)
            found.append(Machine(memory_gb=gb, cpus=cpus, workers=workers))
    return found
