"""noisy.py's sweeps in simulated time: planted speeds of two CPUs, the neighbour's spells, and the product's own rules.

While the neighbour computes, one worker loses nothing, as it leaves a CPU free; two have two of three shares of the
CPUs, three have three of four. So three are faster than two beside it, and no faster on their own.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool

import msgspec
from neighbour import spells
from tabulate import tabulate

from capsexp.analysis import aggregate, recommend, trials, verdicts
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Figures, Memory
from capsexp.config import Config, ThresholdsConfig, to_dict
from capsexp.config.report import ReportConfig
from capsexp.config.validity import ValidityConfig
from capsexp.results.report import Reason
from capsexp.results.run import Run
from capsexp.results.verdicts import Verdict

WORKERS, MEMORY_MB, SPEEDUP = (1, 2, 3), {1: 210.0, 2: 340.0, 3: 470.0}, 1.82  # of two and of three
SLOWER = {1: 1.0, 2: 3 / 2, 3: 4 / 3}  # beside the neighbour
NOISE, STEP_S, OVERHEAD_S, AUDIO_S = 0.015, 0.1, 4.0, 160.0
LONG_S = (10.0, 20.0, 40.0)  # that the load takes with one worker
LIMITS = {**vars(ThresholdsConfig()), "correctness": None}
SETTINGS = to_dict(Config())
LEAST = ValidityConfig().interference
BUDGET_S, TOLERANCE = ReportConfig().budget_s, ReportConfig().tolerance
CONFIGS = {f"workers={n}": {**SETTINGS, "workers": n, "threads": 1, "pool": {"name": "process"}} for n in WORKERS}


class Machine:
    """Two CPUs, time and a neighbour."""

    def __init__(self, seed: int, long_s: float, neighbour: bool) -> None:
        self.draw, self.now_s, self._long_s = random.Random(seed), 0.0, long_s
        self._spells = spells(random.Random(seed + 1_000_000)) if neighbour else iter(())
        self._spell = self._next(0.0)

    def _next(self, after_s: float) -> tuple[float, float]:
        pause_s, spell_s = next(self._spells, (math.inf, 0.0))
        return after_s + pause_s, after_s + pause_s + spell_s

    def _busy(self, at_s: float) -> bool:
        while at_s >= self._spell[1]:
            self._spell = self._next(self._spell[1])
        return at_s >= self._spell[0]

    def run(self, workers: int, trial: int) -> Observed:
        self.now_s += OVERHEAD_S
        work_s = self._long_s / (1.0 if workers == 1 else SPEEDUP) * math.exp(self.draw.gauss(0, NOISE))
        begun, left = self.now_s, work_s
        while left > 0:
            left -= STEP_S / (SLOWER[workers] if self._busy(self.now_s) else 1.0)
            self.now_s += STEP_S
        took = self.now_s - begun + left
        slower = max(0.0, took / work_s - 1)
        lost = LEAST is not None and slower > LEAST
        return _observed(workers, trial, took, MEMORY_MB[workers] * math.exp(self.draw.gauss(0, 0.005)), lost)


def _observed(workers: int, trial: int, took_s: float, mb: float, lost: bool) -> Observed:
    key = f"workers={workers}"
    facts = {
        "num": 0, "key": key, "trial": trial, "status": "ok", "workers": workers, "threads": 1, "pool": "process",
        "engine": "null", "dispatch": "segment", "phases_s": {}, "window_s": {}, "samples": [], "skipped": [],
        "cpu_count": 2, "warnings": [], "config": CONFIGS[key],
    }  # fmt: skip
    figures = Figures(
        makespan_s=took_s, throughput_rtfx=AUDIO_S / took_s, audio_s=AUDIO_S, requests=40, completed=40, segments=40,
        memory=Memory("pss", mb, mb, mb, mb),
    )  # fmt: skip
    return Observed(
        run=msgspec.convert(facts, Run),
        figures=figures,
        judged=Judgement(requests=40, completed=40, identical=40),
        disturbed=(Reason(code="LOST_CPU", reason="others had a CPU"),) if lost else (),
    )


def sweep(seed: int, long_s: float, neighbour: bool) -> tuple[str, bool, bool, float]:
    """What it recommends, whether that is decided, whether it ended settled, and the seconds that it took, by the
    rules of experiment/further.py."""
    machine, made = Machine(seed, long_s, neighbour), list[Observed]()
    wanted = [(f"workers={n}", trial) for trial in (1, 2, 3) for n in WORKERS]
    begun, fruitless, repeated = 0.0, 0, None
    while True:
        made += [machine.run(CONFIGS[key]["workers"], trial) for key, trial in wanted]
        begun = begun or machine.now_s
        found = aggregate.configurations(made, {}, LIMITS, looks=True)
        open_ = trials.questions(found, recommend.choices(found, CONFIGS, TOLERANCE), TOLERANCE, None)
        if repeated:
            fruitless = fruitless + 1 if repeated in trials.repeats(found, 1000) else 0
        disturbed = trials.repeats(found, Config().trials_max)[:1] if fruitless < trials.FRUITLESS else []
        wanted = disturbed or trials.further(found, open_, Config().trials_max)
        takes_s = len(wanted) * (OVERHEAD_S + long_s)
        if not wanted or (BUDGET_S is not None and machine.now_s - begun + takes_s > BUDGET_S):
            break
        repeated = disturbed[0] if disturbed else None
    (advice,) = recommend.advise(found, CONFIGS, TOLERANCE)
    chosen = advice.recommendation
    overall = verdicts.overall(found)
    ended = not open_ and overall not in (Verdict.INCONCLUSIVE, Verdict.INVALID)
    return chosen.key if chosen else "-", bool(chosen and chosen.decided), ended, machine.now_s


def _rows(count: int) -> Iterator[list[object]]:
    with Pool() as pool:
        for neighbour in (True, False):
            for long_s in LONG_S:
                each = pool.starmap(sweep, [(seed, long_s, neighbour) for seed in range(count)])
                chosen = Counter(key for key, *_ in each)
                times = [seconds for *_, seconds in each]
                yield [
                    "yes" if neighbour else "no", long_s, chosen["workers=2"], chosen["workers=3"],
                    sum(decided for _, decided, *_ in each), sum(ended for *_, ended, _ in each),
                    f"{sum(times) / count:.0f}", f"{max(times):.0f}",
                ]  # fmt: skip


def told(count: int) -> None:
    """Prints what so many sweeps came to for each length of the load, with the neighbour and without."""
    heads = ("neighbour", "load, s", "workers=2", "workers=3", "decided", "settled", "mean s", "most s")
    print(f"{count} simulated sweeps of each kind, validity.interference={LEAST}: what they recommend")
    print(tabulate(_rows(count), heads))
