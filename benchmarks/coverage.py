"""Are the intervals what they say? Simulated data of known truth, with fixed seeds; no server runs.

Coverage of every 95 % interval at 3, 5 and 10 trials; A/A sweeps (one thing under two names); planted speedups; and
trials=auto, which looks after each trial, by the report's own estimator and gate, in several kinds of noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from multiprocessing import Pool

import numpy as np
from tabulate import tabulate

from capsexp.analysis import combine, gates, leak, scaling, sequential, statistics
from capsexp.analysis.combine import Evidence
from capsexp.analysis.figures import Figures
from capsexp.analysis.metrics import BY_TAG
from capsexp.results.report import Estimate
from capsexp.results.verdicts import Reading

TIMES = 2000
Random = np.random.Generator
Values = np.ndarray
Trial = Callable[[Random, int], bool]
Noise = Callable[[Random, int], Values]  # logarithms of what a speedup is off by, in each of some trials


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
    return holds(scaling.MemoryModel(points).interval(at), (150 + 120 * at) * math.exp(random.normal(0, 0.02)))


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


def even(share: float) -> Noise:
    return lambda random, trials: random.normal(0, share, trials)


def drifting(random: Random, trials: int) -> Values:
    """Both runs of a trial on a machine whose speed walks by 2 % from run to run, and 1 % each of their own."""
    walk = np.cumsum(random.normal(0, 0.02, 2 * trials))
    return walk[::2] - walk[1::2] + random.normal(0, 0.01 * math.sqrt(2), trials)


def heavy(random: Random, trials: int) -> Values:
    return 0.02 * random.standard_t(3, trials)


def bursts(random: Random, trials: int) -> Values:
    """Each run of a trial: 1.5 % of its own and, one in five, slowed by neighbours that nobody finds, by 10 % on
    average."""

    def one() -> Values:
        slowed = np.log1p(random.exponential(0.10, trials))
        return random.normal(0, 0.015, trials) + np.where(random.random(trials) < 0.2, slowed, 0)

    return one() - one()


def left_over(random: Random, trials: int) -> Values:
    """What is left where a run that lost 5 % or more is found and repeated: three in ten of the faster one's lost less;
    centred, as the speedup is what it is beside such neighbours."""
    lost = np.where(random.random(trials) < 0.3, random.uniform(0, 0.05, trials), 0)
    return random.normal(0, 0.015, trials) - lost + 0.3 * 0.05 / 2


NOISES: dict[str, Noise] = {
    "even, 1 %": even(0.01), "even, 3 %": even(0.03), "even, 6 %": even(0.06), "even, 12 %": even(0.12),
    "drift": drifting, "heavy tails": heavy, "bursts, none found": bursts, "bursts, found": left_over,
}  # fmt: skip
LIMIT, MOST = 1.5, 10


def seen(logs: Values, count: int) -> Estimate:
    """Of the first trials, as the report has it with trials=auto."""
    figures = {
        speed: {n: Figures(makespan_s=10 / factor) for n, factor in enumerate(factors, start=1)}
        for speed, factors in {"one": np.ones(count), "more": np.exp(logs[:count])}.items()
    }
    one, more = (Evidence(1, 1, 2.0, trials=figures[name], looks=True) for name in ("one", "more"))
    return combine.speedup(more, one)


def until_decided(noise: Noise, truth: float, random: Random) -> tuple[bool, str, int]:
    """Whether the interval that is shown holds the truth, the verdict, and after how many trials."""
    logs = math.log(truth) + noise(random, MOST)
    for count in range(sequential.FIRST_LOOK, MOST + 1):
        found = seen(logs, count)
        verdict = gates.compare(BY_TAG["speedup"], LIMIT, found)[0]
        if verdict != Reading.INCONCLUSIVE or count == MOST:
            return holds(found.ci95, truth), verdict, count
    raise AssertionError


TRUTHS = (1.2, 1.45, 1.48, 1.5, 1.52, 1.55, 1.9)


def ended(name: str) -> dict[float, list[tuple[bool, str, int]]]:
    number = list(NOISES).index(name)
    return {
        truth: [
            until_decided(NOISES[name], truth, np.random.default_rng([400, number, round(100 * truth), n]))
            for n in range(TIMES)
        ]
        for truth in TRUTHS
    }


def of_three(noise: Noise, seed: int) -> float:
    """Coverage with trials=3, in %: what the noise does to the interval, whatever is looked at."""
    random = np.random.default_rng([500, seed])
    each = [statistics.interval([*np.exp(noise(random, 3))]) for _ in range(TIMES)]
    return 100 * sum(holds(found, 1.0) for found in each) / TIMES


def one_by_one() -> None:
    print(
        f"\ntrials=auto: 3 to {MOST} trials, until the gate of {LIMIT} is decided; coverage of the interval shown, in %"
    )
    with Pool() as pool:
        found = dict(zip(NOISES, pool.map(ended, NOISES), strict=True))

    def share(each: list[tuple[bool, str, int]], wanted: Callable[[bool, str], bool]) -> float:
        return 100 * sum(wanted(held, verdict) for held, verdict, _ in each) / TIMES

    held = {name: [share(each, lambda held, _: held) for each in of.values()] for name, of in found.items()}
    shown = [
        [name, *map("{:.1f}".format, (of_three(NOISES[name], at), *each))]
        for at, (name, each) in enumerate(held.items())
    ]
    print(tabulate(shown, ("planted", "any, trials=3", *TRUTHS)))
    every = [one for each in held.values() for one in each]
    print(f"lowest {min(every):.1f} %, highest {max(every):.1f} %\n")
    rows = []
    for name, of in found.items():
        false = (
            share(of[1.45], lambda _, said: said == Reading.PASS),
            share(of[1.55], lambda _, said: said == Reading.FAIL),
        )
        used = [sum(n for _, _, n in each) / TIMES for each in of.values()]
        rows.append([name, *map("{:.1f}".format, (*false, *used))])
    print(tabulate(rows, ("", "PASS at 1.45, %", "FAIL at 1.55, %", *(f"trials at {truth}" for truth in TRUTHS))))


def until_known() -> None:
    """report.ci_width=0.05 stops when the interval is narrow, which is more often when it is too narrow."""
    print("\ntrials=auto report.ci_width=0.05")
    for number, (name, noise) in enumerate(NOISES.items()):
        random, held, used = np.random.default_rng([200, number]), 0, 0
        for _ in range(TIMES):
            logs = math.log(1.5) + noise(random, MOST)
            for count in range(sequential.FIRST_LOOK, MOST + 1):
                found = seen(logs, count)
                if (statistics.width(found.ci95) or 0.0) <= 0.05 or count == MOST:
                    break
            held, used = held + holds(found.ci95, 1.5), used + count
        print(f"  {name}: {100 * held / TIMES:.1f} % coverage, {used / TIMES:.1f} trials on average")


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
    planted()
    one_by_one()
    until_known()
