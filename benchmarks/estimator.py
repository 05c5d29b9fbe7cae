"""Would a speedup from the times of segments be known sooner than one from makespans? Runs of known truth, simulated
with fixed seeds, and the tables of real sweeps; no server runs.

    python benchmarks/estimator.py              # simulated
    python benchmarks/estimator.py FOLDER ...   # sweeps of one worker against more, of as many trials as you have

The same segment is paired between a trial's baseline and its run with more workers. Segments tell nothing of the time
in which workers had nothing to do, so that is taken from the makespan: busy = sum of segments / (makespan x workers).
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from capsexp.analysis import sequential, statistics
from capsexp.results.read import RunFiles, read_sweep

SWEEPS, MOST, SEGMENTS = 4000, 10, 40
FARTHER = (0.05, 0.10)  # how far from the limit the truth lies
Values = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class Runs:
    """Of any number of runs, one in each trial. `segments`: s, shape (..., segments), the same ones in the same order
    in all; `makespan`: s, shape (...)."""

    workers: int
    makespan: Values
    segments: Values

    @property
    def busy(self) -> Values:
        return np.asarray(self.segments.sum(-1) / (self.makespan * self.workers))


# Logarithms of the speedup in each trial.


def of_makespans(one: Runs, more: Runs) -> Values:
    return np.asarray(np.log(one.makespan / more.makespan))


def of_sums(one: Runs, more: Runs) -> Values:
    """As if workers never waited."""
    return np.asarray(np.log(one.segments.sum(-1) / more.segments.sum(-1) * more.workers / one.workers))


def paired(one: Runs, more: Runs, centre: Callable[..., Values]) -> Values:
    ratios = centre(np.log(one.segments / more.segments), axis=-1)
    return np.asarray(ratios + np.log(more.busy * more.workers / (one.busy * one.workers)))


def midmean(values: Values, axis: int) -> Values:
    """The mean of the middle half: nearly as steady as the mean where nothing is amiss, as deaf as the median where
    something is."""
    quarter = values.shape[axis] // 4
    return np.asarray(np.sort(values, axis).take(range(quarter, values.shape[axis] - quarter), axis).mean(axis))


ESTIMATORS: dict[str, Callable[[Runs, Runs], Values]] = {
    "makespans": of_makespans,
    "sums of segments": of_sums,
    "means of pairs x busy": partial(paired, centre=np.mean),
    "medians of pairs x busy": partial(paired, centre=np.median),
    "midmeans of pairs x busy": partial(paired, centre=midmean),
}


def over_trials(logs: Values, level: float = 0.95) -> tuple[Values, Values]:
    """Student's t of the trials on the last axis."""
    half = statistics.two_sided(logs.shape[-1] - 1, level) * logs.std(-1, ddof=1) / math.sqrt(logs.shape[-1])
    return logs.mean(-1) - half, logs.mean(-1) + half


def over_segments(one: Runs, more: Runs) -> tuple[Values, Values]:
    """Student's t of all pairs of segments of all trials, as if each told something of its own."""
    rest = np.log(more.busy * more.workers / (one.busy * one.workers))[..., None]
    pairs = np.log(one.segments / more.segments) + rest
    return over_trials(pairs.reshape(*pairs.shape[:-2], -1))


# Simulated.


@dataclass(frozen=True)
class Noise:
    """Standard deviations of logarithms: of a segment, of a run, and of a trial, whose runs share it. In `struck` of
    the runs a neighbour makes all that begins within `lasts` (share of the run) take `slower` times as long.
    `contention`: how much longer segments take beside other workers, `uneven` of them; the others are not slowed."""

    segment: float = 0.05
    run: float = 0.0
    trial: float = 0.10
    struck: float = 0.0
    lasts: float = 0.25
    slower: float = 2.0
    contention: float = 1.15
    uneven: float = 1.0


NOISES = {
    "segments alone, 10 %": Noise(segment=0.10),
    "segments alone, 30 %": Noise(segment=0.30),
    "runs, 1 %": Noise(run=0.01),
    "runs, 3 %": Noise(run=0.03),
    "short bursts in 30 % of the runs": Noise(run=0.01, struck=0.3, lasts=0.05, slower=2),
    "a third of the segments contend": Noise(run=0.01, contention=1.45, uneven=1 / 3),
    "bursts in a third of the runs": Noise(run=0.01, struck=1 / 3),
    "bursts in all runs": Noise(run=0.01, struck=1.0, lasts=0.15),
}


def runs(random: Random, noise: Noise, workers: int, drift: Values, lengths: Values) -> Runs:
    """Segments go to whichever worker is free first, in order."""
    shape = drift.shape
    level = np.exp(drift + random.normal(0, noise.run, shape))
    if workers > 1:
        lengths = lengths * np.where(np.arange(len(lengths)) < noise.uneven * len(lengths), noise.contention, 1.0)
    about = level * lengths.sum() / workers
    begins = np.where(random.random(shape) < noise.struck, random.random(shape) * (1 - noise.lasts), np.inf) * about
    ends = begins + noise.lasts * about
    times = level[..., None] * lengths * np.exp(random.normal(0, noise.segment, (*shape, len(lengths))))
    free = np.zeros((*shape, workers))
    for at in range(len(lengths)):
        first = free.min(-1)
        slowed = np.where((first >= begins) & (first < ends), noise.slower, 1.0)
        times[..., at] *= slowed
        np.put_along_axis(free, free.argmin(-1)[..., None], (first + times[..., at])[..., None], -1)
    return Runs(workers, free.max(-1), times)


def simulated(noise: Noise, sweeps: int, seed: int) -> tuple[Runs, Runs]:
    """Of one worker and of two, shape (sweeps, trials)."""
    random = np.random.default_rng([700, seed])
    lengths = np.random.default_rng(701).uniform(0.3, 1.5, SEGMENTS)
    drift = random.normal(0, noise.trial, (sweeps, MOST))
    one, two = (runs(random, noise, workers, drift, lengths) for workers in (1, 2))
    return one, two


def until_decided(logs: Values, limit: float) -> float:
    """Trials on average until the interval of sequential.DECIDES lies beside the limit, MOST at most."""
    left, used = np.ones(len(logs), bool), np.full(len(logs), MOST)
    for count in range(sequential.FIRST_LOOK, MOST):
        low, high = over_trials(logs[:, :count], sequential.DECIDES)
        now = left & ((low > limit) | (high < limit))
        used[now], left = count, left & ~now
    return float(used.mean())


def held(found: tuple[Values, Values], truth: float) -> str:
    return f"{100 * np.mean((found[0] <= truth) & (truth <= found[1])):.1f}"


def simulation() -> None:
    print(f"one worker against two, {SEGMENTS} segments in a run; {SWEEPS} sweeps of each kind of noise")
    rows = []
    for seed, (name, noise) in enumerate(NOISES.items()):
        one, two = simulated(noise, SWEEPS, seed)
        truth = float(of_makespans(one, two).mean())  # of 40,000 trials
        for way, estimator in ESTIMATORS.items():
            logs = estimator(one, two)
            three = over_trials(logs[:, :3])
            rows.append([
                name if way == "makespans" else "", way, f"{100 * (logs.mean() - truth):+.1f}",
                f"{100 * logs.std(ddof=1):.2f}", held(three, truth), f"{100 * np.median(three[1] - three[0]) / 2:.1f}",
                *(f"{until_decided(logs, truth - math.log1p(far)):.2f}" for far in FARTHER),
            ])  # fmt: skip
        first = [replace(each, makespan=each.makespan[:, :3], segments=each.segments[:, :3]) for each in (one, two)]
        pooled = over_segments(first[0], first[1])
        rows.append(["", "all pairs as one sample", "", "", held(pooled, truth),
                     f"{100 * np.median(pooled[1] - pooled[0]) / 2:.1f}", "", ""])  # fmt: skip
    headers = ("noise", "speedup of", "off by, %", "a trial's spread, %", "3 trials: coverage, %", "+-, %",
               *(f"trials, limit {100 * far:.0f} % off" for far in FARTHER))  # fmt: skip
    print(tabulate(rows, headers, disable_numparse=True))


# Real.


def read(files: list[RunFiles]) -> Runs:
    """Of one configuration, its trials in order; the segments that all have."""
    each = []
    for one in sorted(files, key=lambda one: one.run.trial):
        sample = {row["task_id"]: row["sample"] for row in one.requests}
        found, seen = {}, Counter[tuple[str, int]]()
        for row in sorted(one.segments, key=lambda row: row["queued_s"]):
            if row["task_id"] not in sample:  # of the warm-up
                continue
            which = sample[row["task_id"]], row["segment"]
            found[(*which, seen[which])] = row["compute_s"]
            seen[which] += 1
        begun, ended = (min(r["start_s"] for r in one.requests), max(r["final_s"] for r in one.requests))
        each.append((ended - begun, found))
    shared = sorted(set.intersection(*(set(found) for _, found in each)))
    times = np.array([[found[which] for which in shared] for _, found in each])
    assert files[0].run.workers is not None
    return Runs(files[0].run.workers, np.array([makespan for makespan, _ in each]), times)


def real(folder: Path) -> None:
    every = [one for one in read_sweep(folder).runs if one.run.status == "ok"]
    of = {workers: read([f for f in every if f.run.workers == workers]) for workers in {f.run.workers for f in every}}
    one, *others = (of[workers] for workers in sorted(of, key=lambda count: count or 0))
    print(f"{folder.name}: {len(one.makespan)} trials, {one.segments.shape[-1]} segments in a run")
    rows = []
    for more in others:
        for way, estimator in ESTIMATORS.items():
            logs = estimator(one, more)
            low, high = over_trials(logs)
            rows.append([
                f"{more.workers} workers", way, f"{math.exp(logs.mean()):.3f}", f"{100 * logs.std(ddof=1):.1f}",
                f"{math.exp(low):.3f} to {math.exp(high):.3f}",
            ])  # fmt: skip
    print(tabulate(rows, ("", "speedup of", "it is", "a trial's spread, %", "95 %"), disable_numparse=True))
    for each in of.values():  # one thing twice, in trials that follow each other: the truth is 1
        before, after = (
            Runs(each.workers, each.makespan[part, None], each.segments[part, None])
            for part in (slice(-1), slice(1, None))
        )
        low, high = over_segments(before, after)
        called = int(np.sum((low > 0) | (high < 0)))
        print(
            f"A/A, {each.workers} workers: over segments, {called} of {len(low)} neighbouring runs are called different"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    asked = parser.parse_args()
    for folder in asked.folders:
        real(folder)
    if not asked.folders:
        simulation()
