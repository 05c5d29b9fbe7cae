"""`python -m capsexp.check`: how often are equal servers called different, and is a planted slowdown found?

Simulated pairs of sweeps with the noise of shared machines and known truth (fixed seeds; no server runs), and with
`--real N` real sweeps of a server that sleeps: N equal ones and N that are 10 % slower, of which all pairs are checked.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
from common import sweep
from tabulate import tabulate

from capsexp.analysis import change, regression
from capsexp.report.build import observe
from capsexp.results.read import read_sweep

Random = np.random.Generator
Noise = Callable[[Random, int], np.ndarray]  # logarithms of the times of some trials
KEYS = ("workers=1", "workers=2", "workers=3")
SLOWER = 1.10


def even(spread: float) -> Noise:
    return lambda random, trials: random.normal(0, spread, trials)


def bursts(random: Random, trials: int) -> np.ndarray:
    """A neighbour takes up to a third of the machine in one run of eight."""
    slowed = np.where(random.random(trials) < 1 / 8, random.exponential(0.15, trials), 0)
    return np.asarray(random.normal(0, 0.02, trials) + slowed)


def drift(random: Random, trials: int) -> np.ndarray:
    """A machine that warms up and cools down: each trial begins where the one before ended."""
    return np.asarray(0.02 * np.cumsum(random.normal(0, 1, trials)) + random.normal(0, 0.01, trials))


def heavy(random: Random, trials: int) -> np.ndarray:
    return np.asarray(0.02 * random.standard_t(3, trials))


NOISES: dict[str, tuple[Noise, Noise]] = {
    "1 %": (even(0.01), even(0.01)),
    "3 %": (even(0.03), even(0.03)),
    "5 %": (even(0.05), even(0.05)),
    "heavy tails": (heavy, heavy),
    "bursts of a neighbour": (bursts, bursts),
    "drift within a sweep": (drift, drift),
    "1 % before, 5 % after": (even(0.01), even(0.05)),
    "quiet before, bursts after": (even(0.02), bursts),
}


def swept(random: Random, noise: Noise, trials: int, slower: float, apart: float) -> dict[str, list[list[float]]]:
    """RTFx, latency and memory of each trial of three configurations. Latency goes with the makespan, memory has little
    noise of its own; `apart`: spread of what all trials of a sweep share and those of another do not."""
    shared, found = random.normal(0, apart), {}
    for key in KEYS:
        times = slower * np.exp(noise(random, trials) + shared)
        waits = times * np.exp(random.normal(0, 0.01, trials))
        memory = 100 * np.exp(random.normal(0, 0.002, trials))
        found[key] = [(10 / times).tolist(), waits.tolist(), memory.tolist()]
    return found


def check(
    random: Random, before: Noise, after: Noise, trials: int, slower: float, apart: float = 0.0, sweeps: int = 1
) -> str:
    """The verdict on a sweep whose times are so many times as long as in `sweeps` equal ones before."""
    old = [swept(random, before, trials, 1.0, apart) for _ in range(sweeps)]
    new, each = swept(random, after, trials, slower, apart), []
    for key in KEYS:
        for at, metric in enumerate(("throughput_rtfx", "latency_p50_s", "peak_memory_mb")):
            was, now = [one[key][at] for one in old], new[key][at]
            if sweeps == 1:
                each.append(change.compared(key, metric, was[0], now, regression.LEAST))
            else:
                each.append(change.among(key, metric, was, now, regression.LEAST))
    return regression.overall(regression.decided([one for one in each if one]))


def said(verdicts: Counter[str], of: int) -> str:
    return ", ".join(f"{verdict} {100 * count / of:.1f} %" for verdict, count in verdicts.most_common())


def simulated(times: int) -> None:
    rows = []
    for number, (name, noises) in enumerate(NOISES.items()):
        for trials in (3, 5, 10):
            random = np.random.default_rng([number, trials])
            equal = Counter(check(random, *noises, trials, 1.0) for _ in range(times))
            slower = Counter(check(random, *noises, trials, SLOWER) for _ in range(times))
            called = equal[regression.WORSE] + equal[regression.BETTER]
            rows.append([name, trials, f"{100 * called / times:.1f} %", said(equal, times), said(slower, times)])
    print(f"{times} pairs of sweeps for each row: 3 configurations, 3 figures each")
    print(tabulate(rows, ("noise", "trials", "A/A called different", "A/A", "all 10 % slower")))
    print(f"\n{times} pairs each, 5 trials that vary by 3 %, beside what a machine does from one sweep to the next")
    rows = []
    for sweeps in (1, 5, 10):
        for apart in (0.01, 0.03, 0.05):
            random = np.random.default_rng([sweeps, round(1000 * apart)])
            noises = even(0.03), even(0.03)
            equal = Counter(check(random, *noises, 5, 1.0, apart, sweeps) for _ in range(times))
            slower = Counter(check(random, *noises, 5, SLOWER, apart, sweeps) for _ in range(times))
            called = equal[regression.WORSE] + equal[regression.BETTER]
            rows.append([sweeps, f"{100 * apart:.0f} %", f"{100 * called / times:.1f} %", said(slower, times)])
    print(tabulate(rows, ("baselines", "from sweep to sweep", "A/A called different", "all 10 % slower")))


def real(count: int, trials: int) -> None:
    line = ("engine=null", "samples=quick", "reference=off", "load.repeats=2", "validity=off", f"trials={trials}")
    swept = []
    for number in range(count):
        pair = []
        for rtf in (0.05, 0.05 * SLOWER):
            with sweep(*line, f"engine.rtf={rtf}") as out:
                pair.append(observe(read_sweep(out)))
        swept.append(pair)
        verdict = regression.overall(regression.judge([pair[0]], pair[1]))
        print(f"{number + 1:3}: 10 % slower, next to each other: {verdict}", flush=True)
    equal = Counter(
        regression.overall(regression.judge([one[at]], two[at])) for one, two in combinations(swept, 2) for at in (0, 1)
    )
    slower = Counter(regression.overall(regression.judge([one[0]], two[1])) for one in swept for two in swept)
    print(f"real, {trials} trials: {equal.total()} pairs of equal ones: {said(equal, equal.total())}")
    print(f"real, {trials} trials: {slower.total()} pairs, 10 % slower: {said(slower, slower.total())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--real", type=int, default=0, metavar="N")
    parser.add_argument("--trials", type=int, default=5, help="of real sweeps")
    given = parser.parse_args()
    if given.pairs:
        simulated(given.pairs)
    if given.real:
        real(given.real, given.trials)
