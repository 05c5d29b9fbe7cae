"""Are the intervals what they say? Simulated data of known truth, with fixed seeds; no server runs.

Coverage of every 95 % interval at 3, 5 and 10 trials; A/A sweeps (one thing under two names); planted speedups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
from tabulate import tabulate

from capsexp.analysis import gates, leak, scaling, statistics
from capsexp.analysis.metrics import BY_TAG
from capsexp.results.report import Estimate

TIMES = 2000
Random = np.random.Generator
Trial = Callable[[Random, int], bool]


def makespans(random: Random, trials: int, speedup: float = 1.0) -> tuple[list[float], list[float]]:
    """Of two configurations: noise of 3 % each, and a drift of the machine of 10 % that both of a trial share."""
    drift = random.normal(0, 0.10, trials)
    first, second = (np.exp(drift + random.normal(0, 0.03, trials)) for _ in range(2))
    return list(10 * first), list(10 / speedup * second)


def ratios(random: Random, trials: int, speedup: float) -> list[float]:
    one, two = makespans(random, trials, speedup)
    return [a / b for a, b in zip(one, two, strict=True)]


def holds(found: statistics.Interval | None, truth: float) -> bool:
    return found is not None and found[0] <= truth <= found[1]


def speedup(random: Random, trials: int) -> bool:
    return holds(statistics.interval(ratios(random, trials, 1.5)), 1.5)


def throughput(random: Random, trials: int) -> bool:
    return holds(statistics.interval(list(10 * np.exp(random.normal(0, 0.05, trials)))), 10)


def growth(random: Random, trials: int) -> bool:
    return holds(statistics.interval(list(1.8 * np.exp(random.normal(0, 0.01, trials)))), 1.8)


def marginal(random: Random, trials: int) -> bool:
    return holds(statistics.interval_of_mean(list(random.normal(120, 8, trials))), 120)


def unpaired(random: Random, trials: int) -> bool:
    noisy, quiet = np.exp(random.normal(0, 0.06, trials)), np.exp(random.normal(0, 0.03, trials))
    return holds(statistics.unpaired(list(1.2 * noisy), list(quiet)), 1.2)


def wer(random: Random, samples: int) -> bool:
    """8 % of words wrong on average, and every voice different."""
    words = random.integers(10, 60, samples)
    hard = np.minimum(1.0, 0.08 * random.gamma(3.0, 1 / 3, samples))
    errors = random.binomial(words, hard)
    return holds(statistics.rate([(int(e), int(w)) for e, w in zip(errors, words, strict=True)]), 0.08)


def slope(random: Random, hours: int) -> bool:
    """12 MB/h in noise, sampled often, of which batch medians are taken."""
    time = np.arange(0, hours * 3600, 30.0)
    mb = 500 + 12 * time / 3600 + random.normal(0, 3, len(time))
    found = leak.slope(leak.batches(list(zip(time.tolist(), mb.tolist(), strict=True))))
    return found is not None and found[1] * 3600 <= 12 <= found[2] * 3600


def law(random: Random, counts: int) -> bool:
    """Throughput of twice the largest count, when it is then measured with the same noise."""
    true = lambda n: 10 * n / (1 + 0.05 * (n - 1) + 0.002 * n * (n - 1))  # noqa: E731
    points = {n: true(n) * math.exp(random.normal(0, 0.02)) for n in range(1, counts + 1)}
    return holds(scaling.Law(points).interval(2 * counts), true(2 * counts) * math.exp(random.normal(0, 0.02)))


def line(random: Random, counts: int) -> bool:
    points = {n: (150 + 120 * n) * math.exp(random.normal(0, 0.02)) for n in range(1, counts + 1)}
    at = 2 * counts
    return holds(scaling.Fit(points).interval(at), (150 + 120 * at) * math.exp(random.normal(0, 0.02)))


def share(trial: Trial, size: int, seed: int) -> float:
    random = np.random.default_rng([seed, size])
    return sum(trial(random, size) for _ in range(TIMES)) / TIMES


def coverage() -> None:
    rows = []
    kinds: list[tuple[str, Trial, str, tuple[int, ...]]] = [
        ("speedup (paired t of logs)", speedup, "trials", (3, 5, 10)),
        ("throughput (t of logs)", throughput, "trials", (3, 5, 10)),
        ("memory growth (paired t of logs)", growth, "trials", (3, 5, 10)),
        ("marginal memory (paired t)", marginal, "trials", (3, 5, 10)),
        ("two sweeps (Welch t of logs)", unpaired, "trials", (3, 5, 10)),
        ("WER (ratio over samples, Wilson)", wer, "samples", (9, 30, 100)),
        ("leak (Theil-Sen)", slope, "hours", (1, 3, 10)),
        ("USL, twice the largest count", law, "counts", (5, 6, 8)),
        ("memory line, twice the largest", line, "counts", (5, 6, 8)),
    ]
    for number, (name, trial, unit, sizes) in enumerate(kinds):
        rows.append([name, unit, *(f"{size}: {100 * share(trial, size, number):.1f} %" for size in sizes)])
    print(tabulate(rows, ("95 % interval", "of", "", "", "")))


def same_under_two_names() -> None:
    print("\nA/A: one thing under two names, sweeps called different (3-7 % wanted)")
    for trials in (3, 5, 10):
        random = np.random.default_rng([100, trials])
        called = sum(not holds(statistics.interval(ratios(random, trials, 1.0)), 1.0) for _ in range(TIMES))
        print(f"  {trials} trials: {called} of {TIMES}, {100 * called / TIMES:.1f} %")


def until_known() -> None:
    """trials=auto stops when the interval is narrow, which is a little more often when it is too narrow."""
    random, held, used = np.random.default_rng(200), 0, 0
    for _ in range(TIMES):
        every = ratios(random, 10, 1.5)
        count = next((n for n in range(5, 10) if (statistics.width(statistics.interval(every[:n])) or 1) <= 0.05), 10)
        held, used = held + holds(statistics.interval(every[:count]), 1.5), used + count
    print(f"\ntrials=auto, +-5 %: {100 * held / TIMES:.1f} % coverage, {used / TIMES:.1f} trials on average")


def planted() -> None:
    print("\nPlanted speedups against the gate of 1.5, 3 trials")
    for speed in (1.8, 1.2, 1.5):
        random, said = np.random.default_rng([300, round(10 * speed)]), Counter[str]()
        for _ in range(TIMES):
            each = ratios(random, 3, speed)
            middle, ci95 = float(np.exp(np.mean(np.log(each)))), statistics.interval(each)
            found = Estimate(value=middle, ci95=ci95, n=len(each), of="pairs", values=tuple(each))
            said[gates.compare(BY_TAG["speedup"], 1.5, found)[0]] += 1
        shown = ", ".join(f"{verdict} {100 * count / TIMES:.1f} %" for verdict, count in said.most_common())
        print(f"  {speed}x: {shown}")


if __name__ == "__main__":
    coverage()
    same_under_two_names()
    until_known()
    planted()
