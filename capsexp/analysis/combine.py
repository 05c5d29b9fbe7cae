"""How metrics come of the trials that count, and of what their intervals are. The rules below are all there are. Pure.

A value and its interval come of one estimator: what varies by a factor has the geometric mean, so that a speedup is
what the makespans beside it say. Where a trial of one of the two compared is missing, a makespan is told as it would
have been in all of the baseline's trials: the machine's drift is taken from those that both have (the ratio estimate
of double sampling: Cochran, Sampling Techniques, 1977, 12.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeAlias

import numpy as np

from capsexp.analysis import statistics
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Figures
from capsexp.analysis.latency import FEWEST
from capsexp.analysis.sequential import DECIDES, shown
from capsexp.results.report import Estimate, Leak, Unit

# Requests a percentile needs before it says anything (MLPerf's early-stopping counts).
PERCENTILES = FEWEST


@dataclass(frozen=True)
class Evidence:
    """What a configuration's metrics are computed from: the figures of each trial that counts; the verdicts on the
    texts of all trials, the disturbed ones too; the RTFx of its reference with as many processes, of each trial
    (`reference_by_trial`) and of the whole sweep where it was timed once. `looks`: after each
    trial it was asked whether it is the last (see sequential)."""

    workers: int | None
    threads: int
    cpus: float
    trials: Mapping[int, Figures] = field(default_factory=dict)
    judged: Sequence[Judgement] = ()
    leak: Leak = field(default_factory=Leak)
    reference_rtfx: float | None = None
    reference_by_trial: Mapping[int, float] = field(default_factory=dict)
    looks: bool = False

    @property
    def figures(self) -> list[Figures]:
        return list(self.trials.values())

    @property
    def whole(self) -> bool:
        """All requests of all trials were completed."""
        return bool(self.trials) and all(f.makespan_s is not None for f in self.figures)


@dataclass(frozen=True)
class Rule:
    """How trials become one value, and where its interval comes from, in words for docs/reference/metrics.md."""

    over: str
    interval: str


_LOGS = "Student's t on logarithms"
MEAN = Rule("geometric mean (arithmetic where a trial has 0)", _LOGS)
PACED = Rule("geometric mean, as if in all of the baseline's trials", _LOGS)
RATIOS = Rule("geometric mean of the ratios within each trial that both have", _LOGS)
DIFFERENCES = Rule("mean of the differences within each trial that both have", "Student's t")
TO_REFERENCE = Rule(
    "geometric mean of the ratios within each trial before which the reference was timed",
    f"{_LOGS}; none where it was once",
)
HIGHEST = Rule("highest", "none: more trials can only raise it")
QUANTILE = Rule("quantile of all trials' values together", "order statistics")
LONGEST = Rule("longest of all trials", HIGHEST.interval)
REQUESTS = Rule("all trials' requests together, the disturbed ones too", "none: it is a count")
SAMPLES = Rule("all trials' words together", "Wilson's, by sample")
SLOPE = Rule("of the longest trial", "Theil-Sen's")

Pick: TypeAlias = Callable[[Figures], float | None]
Compute: TypeAlias = Callable[[Evidence, Evidence | None], Estimate]  # the second: of the baseline, None for it itself


@dataclass(frozen=True)
class Combined:
    """A metric's way from trials to its estimate. `trial`: the value of one trial by itself; None where only several
    of them, or two configurations, have one."""

    rule: Rule
    compute: Compute
    trial: Pick | None = None


def mean_of(pick: Pick) -> Combined:
    """Over the trials that know it."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        return _mean([v for f in own.figures if (v := pick(f)) is not None], own.looks)

    return Combined(MEAN, found, pick)


def _mean(values: Sequence[float], looks: bool, of: Unit = "trials") -> Estimate:
    if not values:
        return Estimate(of=of)
    return Estimate(
        value=statistics.centre(values),
        ci95=statistics.interval(values, shown(len(values), looks)),
        decides=statistics.interval(values, DECIDES) if looks else None,
        n=len(values), of=of, values=tuple(values),
    )  # fmt: skip


def paced(pick: Pick, slower: bool) -> Combined:
    """Of what goes with the pace of a run, as it would have been in all of the baseline's trials; of nothing unless all
    requests of all trials completed. `slower`: it grows as runs slow down."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        if not own.whole:
            return Estimate()
        trials, drift = sorted(own.trials), 1.0
        if baseline is not None and baseline.whole and (shared := own.trials.keys() & baseline.trials.keys()):
            trials, pace = sorted(shared), _pace(baseline)
            drift = statistics.centre([*pace.values()]) / statistics.centre([pace[trial] for trial in trials])
        factor = drift if slower else 1 / drift
        return _mean([v * factor for trial in trials if (v := pick(own.trials[trial])) is not None], own.looks)

    return Combined(PACED, found, pick)


throughput = paced(lambda f: f.throughput_rtfx, slower=False)
makespan = paced(lambda f: f.makespan_s, slower=True)


def _pace(evidence: Evidence) -> dict[int, float]:
    """Seconds per second of audio of each trial: with hours= the time is given."""
    return {trial: f.makespan_s / (f.audio_s or 1.0) for trial, f in sorted(evidence.trials.items()) if f.makespan_s}


def highest_of(pick: Pick) -> Combined:
    """More trials can only raise it, so it has no interval."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        values = tuple(v for f in own.figures if (v := pick(f)))
        return Estimate(value=max(values, default=None), n=len(values), values=values)

    return Combined(HIGHEST, found, pick)


def speedups(own: Evidence, other: Evidence) -> list[float]:
    """Makespan of the other / makespan, within each trial; per second of audio."""
    return statistics.ratios(_pace(other), _pace(own))


def speedup(own: Evidence, baseline: Evidence | None) -> Estimate:
    """Of all trials in which both were measured (see `speedups`), with its interval; no value where requests of either
    failed."""
    if baseline is None:
        return Estimate(of="pairs")
    ratios = speedups(own, baseline)
    if not (own.whole and baseline.whole):
        return Estimate(n=len(ratios), of="pairs")
    return _mean(ratios, own.looks, "pairs")


def efficiency(own: Evidence, baseline: Evidence | None) -> Estimate:
    """Speedup / how many times as many CPUs its workers and threads can use, within each trial: 1 is linear scaling."""
    found = speedup(own, baseline)
    if baseline is None or found.value is None or not own.workers or not baseline.workers:
        return Estimate(of="pairs")
    usable = [min(one.workers * one.threads, one.cpus) for one in (own, baseline) if one.workers]
    return _mean([ratio / (usable[0] / usable[1]) for ratio in found.values], own.looks, "pairs")


def server_efficiency(own: Evidence, baseline: Evidence | None) -> Estimate:
    """Within each trial; where the reference was timed once in the sweep, against that, and without an interval: what
    the machine's drift has made of it nobody knows."""
    if not own.whole:
        return Estimate()
    reached = {trial: f.throughput_rtfx for trial, f in own.trials.items() if f.throughput_rtfx}
    if ratios := statistics.ratios(reached, own.reference_by_trial):
        return _mean(ratios, own.looks)
    reached_by_all = throughput.compute(own, baseline)
    if reached_by_all.value is None or not own.reference_rtfx:
        return Estimate()
    each = tuple(value / own.reference_rtfx for value in reached_by_all.values)
    return Estimate(value=reached_by_all.value / own.reference_rtfx, n=len(each), values=each)


def _steady(evidence: Evidence) -> dict[int, float]:
    return {trial: f.memory.steady_peak_mb for trial, f in evidence.trials.items() if f.memory.steady_peak_mb}


def memory_growth(own: Evidence, baseline: Evidence | None) -> Estimate:
    """Peak memory in steady state / the baseline's, within each trial."""
    return _mean(statistics.ratios(_steady(own), _steady(baseline)) if baseline else [], own.looks, "pairs")


def marginal_memory(own: Evidence, baseline: Evidence | None) -> Estimate:
    """MB of peak memory per worker more than the baseline's, within each trial."""
    more = (own.workers or 0) - (baseline.workers or 0) if baseline else 0
    if baseline is None or more <= 0:
        return Estimate(of="pairs")
    mine, theirs = _steady(own), _steady(baseline)
    each = tuple((mine[trial] - theirs[trial]) / more for trial in sorted(mine.keys() & theirs.keys()))
    return Estimate(
        value=fmean(each) if each else None,
        ci95=statistics.interval_of_mean(each, shown(len(each), own.looks)),
        decides=statistics.interval_of_mean(each, DECIDES) if own.looks else None,
        n=len(each), of="pairs", values=each,
    )  # fmt: skip


def share_of_requests(
    pick: Callable[[Judgement], int | None], of: Callable[[Judgement], int] = lambda j: j.requests
) -> Combined:
    """How many of them, as a share."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        counts = [pick(j) for j in own.judged]
        known = [count for count in counts if count is not None]
        total = sum(of(j) for j in own.judged)
        sure = len(known) == len(counts) and total > 0
        return Estimate(value=sum(known) / total if sure else None, n=total, of="requests")

    return Combined(REQUESTS, found)


def error_rate(kind: str) -> Combined:
    """Over all requests; a trial repeats the same samples, so that what varies is the sample (see statistics.rate)."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        counts: dict[str, tuple[int, int]] = {}
        for judged in own.judged:
            for sample, errors in judged.errors.items():
                if kind in errors:
                    before = counts.get(sample, (0, 0))
                    counts[sample] = before[0] + errors[kind][0], before[1] + errors[kind][1]
        if not counts:
            return Estimate(of="samples")
        each = [(errors / len(own.judged), words / len(own.judged)) for errors, words in counts.values()]
        rate = sum(errors for errors, _ in counts.values()) / max(1, sum(words for _, words in counts.values()))
        return Estimate(value=rate, ci95=statistics.rate(each), n=len(counts), of="samples")

    return Combined(SAMPLES, found)


def pooled(pick: Callable[[Figures], Iterable[float]], name: str) -> Combined:
    """A percentile, or (`max`) the longest, of the values of all trials together."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        values = [value for f in own.figures for value in pick(f)]
        value = _quantile(values, name)
        if name == "max" or value is None:
            return Estimate(value=value, n=len(values), of="requests")
        share, known = PERCENTILES[name][0] / 100, shown(len(own.trials), own.looks)
        return Estimate(
            value=value,
            ci95=statistics.quantile_interval(values, share, known),
            decides=statistics.quantile_interval(values, share, DECIDES) if own.looks else None,
            n=len(values), of="requests",
        )  # fmt: skip

    rule = LONGEST if name == "max" else QUANTILE
    return Combined(rule, found, lambda f: _quantile([*pick(f)], name))


def _quantile(values: Sequence[float], name: str) -> float | None:
    """None below the values that it needs."""
    if name == "max":
        return max(values, default=None)
    percent, needed = PERCENTILES[name]
    return float(np.percentile(values, percent)) if len(values) >= needed else None


def leak(own: Evidence, baseline: Evidence | None) -> Estimate:
    """Slope of memory over time in MB/h."""
    known = own.leak.mb_per_h is not None
    return Estimate(value=own.leak.mb_per_h, ci95=own.leak.ci95, n=int(known))


def core_hours(f: Figures) -> float | None:
    """CPU hours of the server per hour of audio."""
    return f.cpu.server_s / f.audio_s if f.cpu.server_s is not None and f.audio_s else None
