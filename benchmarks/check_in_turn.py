"""`python -m capsexp.check SWEEP --by SETTING`, of one sweep that has both sides, against a check of two sweeps: how
often are equal servers called different, and is a planted slowdown found, on machines that drift?

Simulated with known truth (fixed seeds; no server runs), and with `--real N` N real sweeps of servers that sleep.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations

import msgspec
import numpy as np
from check import KEYS, NOISES, SLOWER, Noise, Random
from common import sweep
from tabulate import tabulate

from capsexp.analysis import change, regression
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.sides import sides
from capsexp.report.build import observe
from capsexp.results.read import read_sweep

METRICS = ("throughput_rtfx", "latency_p50_s", "peak_memory_mb")
Drift = Callable[[Random, int, int], np.ndarray]  # of so many runs, of which so many make a trial


def still(random: Random, runs: int, a_trial: int) -> np.ndarray:
    return np.zeros(runs)


def to_and_fro(step: float) -> Drift:
    return lambda random, runs, a_trial: np.cumsum(random.normal(0, step / math.sqrt(a_trial), runs))


def one_way(step: float) -> Drift:
    return lambda random, runs, a_trial: np.arange(runs) * step / a_trial


def jump(random: Random, runs: int, a_trial: int) -> np.ndarray:
    """Another virtual machine begins to work, and stays."""
    return np.where(np.arange(runs) >= random.integers(runs), 0.10, 0.0)


# What all runs share, one after the other: logarithms of the machine's slowness.
DRIFTS: dict[str, Drift] = {
    "none": still,
    "2 % a trial, to and fro": to_and_fro(0.02),
    "5 % a trial, to and fro": to_and_fro(0.05),
    "2 % a trial, one way": one_way(0.02),
    "5 % a trial, one way": one_way(0.05),
    "10 % at once, and stays": jump,
}


def measured(
    random: Random, drift: Drift, noises: tuple[Noise, Noise], trials: int, slower: float, in_turn: bool
) -> list[change.Comparison | None]:
    """Both sides of some configurations: in one sweep, whose trials run all of them, or in two sweeps, one after the
    other. Noise of each run is beside what the machine does."""
    cells = [(side, key) for side in (0, 1) for key in KEYS]
    order = [cell for _ in range(trials) for cell in cells]
    if not in_turn:
        order.sort(key=lambda cell: cell[0])
    shared, own = drift(random, len(order), len(cells)), {cell: noises[cell[0]](random, trials) for cell in cells}
    placed: dict[tuple[int, str], list[tuple[int, float]]] = {cell: [] for cell in cells}
    for place, (cell, slowness) in enumerate(zip(order, shared, strict=True)):
        seconds = math.exp(slowness + own[cell][len(placed[cell])]) * (slower if cell[0] else 1)
        placed[cell].append((place, seconds))
    found = []
    for key in KEYS:
        before, after = placed[0, key], placed[1, key]
        waits = [[(at, s * math.exp(random.normal(0, 0.01))) for at, s in side] for side in (before, after)]
        speeds = [[(at, 10 / s) for at, s in side] for side in (before, after)]
        memory = [[(at, 100 * math.exp(random.normal(0, 0.002))) for at, _ in side] for side in (before, after)]
        for metric, (was, now) in zip(METRICS, (speeds, waits, memory), strict=True):
            if in_turn:
                found.append(change.interleaved(key, metric, was, now, regression.LEAST))
            else:
                values = [[value for _, value in side] for side in (was, now)]
                found.append(change.compared(key, metric, *values, regression.LEAST))
    return found


def simulated(times: int) -> None:
    """One sweep that has both sides, against two sweeps."""
    planned = [(name, "3 %", 5) for name in DRIFTS]
    planned += [("none", name, 5) for name in NOISES if name not in ("1 %", "3 %", "drift within a sweep")]
    planned += [("none", "5 %", 10), ("2 % a trial, one way", "5 %", 10)]
    rows = []
    for number, (drift, noise, trials) in enumerate(planned):
        row = [drift, noise, trials]
        for in_turn in (False, True):
            for slower in (1.0, SLOWER):
                random = np.random.default_rng([number, trials])
                verdicts = Counter(
                    verdict(measured(random, DRIFTS[drift], NOISES[noise], trials, slower, in_turn))
                    for _ in range(times)
                )
                wrong = verdicts[regression.BETTER] if slower == 1 else 0
                row.append(f"{100 * (verdicts[regression.WORSE] + wrong) / times:.1f} %")
        rows.append(row)
    print(f"{times} checks each of 3 configurations with 3 figures each: called different where both sides are equal,")
    print("and WORSE where all times are 10 % longer")
    headers = ("the machine", "noise of a run", "trials", "two sweeps: equal", "10 %", "one sweep: equal", "10 %")
    print(tabulate(rows, headers))


def verdict(found: Sequence[change.Comparison | None]) -> str:
    return regression.overall(regression.decided([one for one in found if one]))


def real(count: int, trials: int) -> None:
    """Sweeps of a server that sleeps, the baseline, its equal and one that is 10 % slower in turn."""
    base, equal, slow = rtfs = (0.05, 0.05 + 1e-9, 0.05 * SLOWER)
    line = ("engine=null", "samples=quick", "reference=off", "load.repeats=2", "validity=off", f"trials={trials}")
    swept, said = [], {"one sweep": (Counter[str](), Counter[str]()), "two sweeps": (Counter[str](), Counter[str]())}
    for number in range(count):
        with sweep(*line, f"engine.rtf={','.join(map(repr, rtfs))}") as out:
            observed = observe(read_sweep(out))
        swept.append({rtf: [o for o in observed if o.run.group("engine")["rtf"] == rtf] for rtf in rtfs})
        for at, other in enumerate((equal, slow)):
            two = sides([*swept[-1][base], *swept[-1][other]], "engine.rtf")
            said["one sweep"][at][regression.overall(regression.judge([two.before], two.after, in_turn=True))] += 1
        print(f"{number + 1:3}: {said['one sweep']}", flush=True)
    for one, two in permutations(swept, 2):
        for at, other in enumerate((base, slow)):
            keyed = sides([*one[base], *_later(two[other], other)], "engine.rtf")
            said["two sweeps"][at][regression.overall(regression.judge([keyed.before], keyed.after))] += 1
    for how, counted in said.items():
        for what, verdicts in zip(("equal", "10 % slower"), counted, strict=True):
            print(f"real, {how}, {trials} trials, {what}: {dict(verdicts)}")


def _later(runs: Sequence[Observed], rtf: float) -> list[Observed]:
    """As the later side of a check, whose runs come behind those of the earlier one."""

    def moved(one: Observed) -> Observed:
        engine = {**one.run.group("engine"), "rtf": rtf + 1e-12}
        run = msgspec.structs.replace(one.run, num=one.run.num + 1000, config={**one.run.config, "engine": engine})
        return replace(one, run=run)

    return [moved(one) for one in runs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=2000)
    parser.add_argument("--real", type=int, default=0, metavar="N")
    parser.add_argument("--trials", type=int, default=5, help="of real sweeps")
    given = parser.parse_args()
    if given.checks:
        simulated(given.checks)
    if given.real:
        real(given.real, given.trials)
