"""Does search=race find what the whole grid finds, and in which time? Sweeps of 24 configurations (workers x threads x
pool) with planted speeds, memories and noise, by the report's own estimators, rules and advice; no server runs. Of both
the time is what their runs take: OVERHEAD_S beside the load, which is as long as the planted speed says.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice, product
from statistics import fmean
from typing import Any

import msgspec
import numpy as np

from capsexp.analysis import aggregate, blocks, race, recommend, trials
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Figures, Memory
from capsexp.config import Config, ThresholdsConfig, to_dict
from capsexp.results.report import Configuration
from capsexp.results.run import Run

SWEEPS, CPUS, FIRST, MOST, TOLERANCE = 20, 4, 3, 10, 0.05
OVERHEAD_S, FASTEST_S, AUDIO_S = 5.0, 10.0, 1000.0  # load.min_s of the fastest
LIMITS = {**vars(ThresholdsConfig()), "correctness": None}
KINDS = list(product((1, 2, 3, 4), (1, 2), ("process", "prefork", "thread")))
Tree = dict[str, Any]
SETTINGS: Tree = to_dict(Config())


class Machine:
    """Planted: how workers and threads scale, what each pool costs in speed and memory, how runs and trials vary."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([600, seed])
        within = random.uniform(0.75, 0.95)  # that a second thread of a worker brings
        contention = random.uniform(0.01, 0.06)
        fork, thread = random.uniform(0.97, 1.0), random.uniform(0.85, 1.0)
        model, each = random.uniform(200, 1200), random.uniform(30, 120)
        self.noise, self.drift = random.uniform(0.01, 0.04), random.uniform(0.0, 0.08)
        self.speed, self.memory = dict[str, float](), dict[str, float]()
        for workers, threads, pool in KINDS:
            key = name(workers, threads, pool)
            one = 1.0 if threads == 1 else 1 + within
            cores = min(1.0, CPUS / (workers * threads))
            scaled = workers / (1 + contention * (workers - 1))
            way = {"process": 1.0, "prefork": fork, "thread": thread ** (workers - 1)}[pool]
            self.speed[key] = one * scaled * cores**0.9 * way
            copies = workers if pool == "process" else 1
            self.memory[key] = 150 + copies * model + workers * each * (0.5 if pool == "thread" else 1.0)
        self.load_s = FASTEST_S * max(self.speed.values())
        self.seed, self._made = seed, dict[tuple[str, int], Observed]()

    def __str__(self) -> str:
        return f"{self.seed}: noise {100 * self.noise:.1f} %, drift {100 * self.drift:.1f} %"

    def run(self, key: str, trial: int) -> Observed:
        """The same for grid and race."""
        if (key, trial) not in self._made:
            random = np.random.default_rng([601, self.seed, trial, number(key)])
            shift = np.random.default_rng([602, self.seed, trial]).normal(0, self.drift)
            made = self.load_s / self.speed[key] * math.exp(shift + random.normal(0, self.noise))
            self._made[key, trial] = observed(key, trial, made, self.memory[key] * math.exp(random.normal(0, 0.005)))
        return self._made[key, trial]

    def right(self, tolerance: float = TOLERANCE) -> str | None:
        """What is recommended where nothing varies."""
        exact = [observed(key, trial, self.load_s / self.speed[key], self.memory[key])
                 for key in self.speed for trial in (1, 2, 3)]  # fmt: skip
        return chosen(aggregate.configurations(exact, {}, LIMITS, looks=True), tolerance)

    @property
    def clear(self) -> bool:
        """Whether what is right does not hang on 2 % of speed: elsewhere chance decides, for grid and race alike."""
        return len({self.right(tolerance) for tolerance in (TOLERANCE - 0.02, TOLERANCE, TOLERANCE + 0.02)}) == 1


def name(workers: int, threads: int, pool: str) -> str:
    return f"workers={workers},threads={threads},pool={pool}"


def number(key: str) -> int:
    return [name(*kind) for kind in KINDS].index(key)


def config(key: str) -> Tree:
    workers, threads, pool = KINDS[number(key)]
    return {**SETTINGS, "workers": workers, "threads": threads, "pool": {"name": pool}}


def observed(key: str, trial: int, makespan: float, mb: float) -> Observed:
    workers, threads, pool = KINDS[number(key)]
    facts = {
        "num": 0, "key": key, "trial": trial, "status": "ok", "workers": workers, "threads": threads, "pool": pool,
        "engine": "null", "dispatch": "segment", "phases_s": {}, "window_s": {}, "samples": [], "skipped": [],
        "cpu_count": CPUS, "warnings": [], "config": config(key),
    }  # fmt: skip
    figures = Figures(
        makespan_s=makespan, throughput_rtfx=AUDIO_S / makespan, audio_s=AUDIO_S, requests=40, completed=40,
        segments=40, memory=Memory("pss", mb, mb, mb, mb),
    )  # fmt: skip
    judged = Judgement(requests=40, completed=40, identical=40)
    return Observed(run=msgspec.convert(facts, Run), figures=figures, judged=judged)


def sweep(machine: Machine, racing: bool) -> tuple[list[Configuration], float, int]:
    """Its configurations in the end, the seconds of its runs and how many there were."""
    keys = [name(*kind) for kind in KINDS]
    configs = {key: config(key) for key in keys}
    made = [machine.run(key, trial) for trial in range(1, (1 if racing else FIRST) + 1) for key in keys]
    while True:
        found = aggregate.configurations(made, {}, LIMITS, looks=True)
        if racing:
            speeds = blocks.speeds_of(made)
            found = race.raced(found, configs, speeds, TOLERANCE, LIMITS["speedup"], MOST)
        choices, rounds, gains = recommend.choices(found, configs, TOLERANCE), (), None
        if racing:
            rounds = race.questions(found, configs, speeds, choices, TOLERANCE, FIRST)
            gains = race.gains(found, configs, speeds)
        asked = rounds or trials.questions(found, choices, TOLERANCE, None, gains)
        more = trials.further(found, asked, MOST)
        if not more:
            seconds = sum(OVERHEAD_S + (one.figures.makespan_s or 0.0) for one in made if one.figures)
            return found, seconds, len(made)
        made += [machine.run(key, trial) for key, trial in more]


def chosen(found: list[Configuration], tolerance: float = TOLERANCE) -> str | None:
    configs = {c.key: config(c.key) for c in found}
    (advice,) = recommend.advise(found, configs, tolerance)
    return advice.recommendation.key if advice.recommendation else None


def planted(machines: Iterable[Machine]) -> Iterator[tuple[bool, bool, bool, float]]:
    """Of each sweep: whether both recommend the same, whether the grid and the race are right, and the ratio of their
    times."""
    for machine in machines:
        whole, whole_s, whole_runs = sweep(machine, racing=False)
        raced, raced_s, raced_runs = sweep(machine, racing=True)
        grid, race_, right = chosen(whole), chosen(raced), machine.right()
        out = sum(c.dropped is not None for c in raced)
        lost = right in {c.key for c in raced if c.dropped}
        print(
            f"{machine}: right is {right}; "
            f"grid {'is' if grid == right else grid}, {whole_runs} runs, {whole_s:.0f} s; "
            f"race {'is' if race_ == right else race_}, {raced_runs} runs, {raced_s:.0f} s ({raced_s / whole_s:.2f}), "
            f"{out} dropped{', THE RIGHT ONE TOO' if lost else ''}",
            flush=True,
        )
        yield grid == race_, grid == right, race_ == right, raced_s / whole_s


def told(what: str, machines: Iterable[Machine]) -> None:
    each = list(planted(machines))
    same, grid, raced, ratios = map(list, zip(*each, strict=True))
    print(
        f"{what}: the same recommendation in {sum(same)} of {len(each)}; right: the grid {sum(grid)}, the race "
        f"{sum(raced)}; the race took {min(ratios):.2f} to {max(ratios):.2f} of the grid's time, {fmean(ratios):.2f} "
        "on average\n"
    )


if __name__ == "__main__":
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS
    told("machines on which the answer is clear", islice(filter(lambda one: one.clear, map(Machine, count())), sweeps))
    told("any machines", islice(map(Machine, count(1000)), sweeps))
