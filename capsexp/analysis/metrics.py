"""Every metric, declared once: its tag, unit, direction, definition, header, how it comes of the runs that count, and
how a limit on it is judged. Tables, gates, thresholds and the reference page are made of this list. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from capsexp.analysis import statistics
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Figures
from capsexp.results.report import Estimate, Leak

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"
# Requests a percentile needs before it says anything (MLPerf's early-stopping counts).
PERCENTILES = {"p50": (50, 1), "p90": (90, 64), "p95": (95, 130), "p99": (99, 662)}


@dataclass(frozen=True)
class Evidence:
    """What a configuration's metrics are computed from: the figures of each trial that counts; the verdicts on the
    texts of all trials, the disturbed ones too; the RTFx of its reference with as many processes."""

    workers: int | None
    threads: int
    cpus: float
    trials: Mapping[int, Figures] = field(default_factory=dict)
    judged: Sequence[Judgement] = ()
    leak: Leak = field(default_factory=Leak)
    reference_rtfx: float | None = None

    @property
    def figures(self) -> list[Figures]:
        return list(self.trials.values())

    @property
    def whole(self) -> bool:
        """All requests of all trials were completed."""
        return bool(self.trials) and all(f.makespan_s is not None for f in self.figures)


@dataclass(frozen=True)
class Gate:
    """How a limit is judged. `relative`: needs a baseline; `timed`: a disturbed run says nothing about it, but a wrong
    text stays wrong; `highest`: a maximum over trials, of which one over the limit decides; `logs`: a positive figure,
    compared on logarithms; `unknown`: why it has no value."""

    relative: bool = False
    timed: bool = True
    highest: bool = False
    logs: bool = True
    unknown: str = "not measured"


Compute = Callable[[Evidence, Evidence | None], Estimate]  # the second: of the baseline, None for a baseline itself


@dataclass(frozen=True)
class Metric:
    """`unit`: of the value; a share from 0 to 1 is shown in % where `percent` says so. `gate`: None where no limit can
    be set on it."""

    tag: str
    unit: str
    better: str
    definition: str
    compute: Compute
    header: str = ""
    digits: int = 2
    percent: bool = False
    gate: Gate | None = None

    @property
    def at_most(self) -> bool:
        """Whether a limit on it is the most that is allowed."""
        return self.better == LOWER


def compute(own: Evidence, baseline: Evidence | None) -> dict[str, Estimate]:
    """All metrics of a configuration by tag."""
    return {metric.tag: metric.compute(own, baseline) for metric in METRICS}


# How values combine.


def _median(pick: Callable[[Figures], float | None], whole: bool = False) -> Compute:
    """The median over trials that know it; with `whole`, of nothing unless all requests of all trials completed."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        values = tuple(v for f in own.figures if (v := pick(f)) is not None)
        if not values or (whole and not own.whole):
            return Estimate()
        return Estimate(value=median(values), ci95=statistics.interval(values), n=len(values), values=values)

    return found


def _highest(pick: Callable[[Figures], float | None]) -> Compute:
    """The highest of all trials: more trials can only raise it, so it has no interval."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        values = tuple(v for f in own.figures if (v := pick(f)))
        return Estimate(value=max(values, default=None), n=len(values), values=values)

    return found


def _of_pairs(values: Sequence[float], ci95: statistics.Interval | None) -> Estimate:
    middle = median(values) if values else None
    return Estimate(value=middle, ci95=ci95, n=len(values), of="pairs", values=tuple(values))


def speedups(own: Evidence, other: Evidence) -> list[float]:
    """Makespan of the other / makespan, within each trial; per second of audio, as with hours= it is the time that is
    given."""
    mine, theirs = (
        {trial: f.makespan_s / (f.audio_s or 1.0) for trial, f in evidence.trials.items() if f.makespan_s}
        for evidence in (own, other)
    )
    return statistics.ratios(theirs, mine)


def speedup(own: Evidence, baseline: Evidence | None) -> Estimate:
    if baseline is None:
        return Estimate(of="pairs")
    ratios = speedups(own, baseline)
    if not (own.whole and baseline.whole):
        return Estimate(n=len(ratios), of="pairs")
    return _of_pairs(ratios, statistics.interval(ratios))


def _efficiency(own: Evidence, baseline: Evidence | None) -> Estimate:
    found = speedup(own, baseline)
    if baseline is None or found.value is None or not own.workers or not baseline.workers:
        return Estimate(of="pairs")
    usable = [min(one.workers * one.threads, one.cpus) for one in (own, baseline) if one.workers]
    each = [ratio / (usable[0] / usable[1]) for ratio in found.values]
    return _of_pairs(each, statistics.interval(each))


def _server_efficiency(own: Evidence, baseline: Evidence | None) -> Estimate:
    reached = _median(lambda f: f.throughput_rtfx, whole=True)(own, None)
    if reached.value is None or not own.reference_rtfx:
        return Estimate()
    each = tuple(value / own.reference_rtfx for value in reached.values)
    return Estimate(value=reached.value / own.reference_rtfx, n=len(each), values=each)


def _steady(evidence: Evidence) -> dict[int, float]:
    return {trial: f.memory.steady_peak_mb for trial, f in evidence.trials.items() if f.memory.steady_peak_mb}


def _growth(own: Evidence, baseline: Evidence | None) -> Estimate:
    grown = statistics.ratios(_steady(own), _steady(baseline)) if baseline else []
    return _of_pairs(grown, statistics.interval(grown))


def _marginal(own: Evidence, baseline: Evidence | None) -> Estimate:
    more = (own.workers or 0) - (baseline.workers or 0) if baseline else 0
    if baseline is None or more <= 0:
        return Estimate(of="pairs")
    mine, theirs = _steady(own), _steady(baseline)
    each = [(mine[trial] - theirs[trial]) / more for trial in sorted(mine.keys() & theirs.keys())]
    return _of_pairs(each, statistics.interval_of_mean(each))


def _share_of_requests(pick: Callable[[Judgement], int | None]) -> Compute:
    """Of the requests of all trials, the disturbed ones too."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        counts = [pick(j) for j in own.judged]
        known = [count for count in counts if count is not None]
        total = sum(j.requests for j in own.judged)
        sure = len(known) == len(counts) and total > 0
        return Estimate(value=sum(known) / total if sure else None, n=total, of="requests")

    return found


def _error_rate(kind: str) -> Compute:
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

    return found


def _pooled(pick: Callable[[Figures], Iterable[float]], name: str) -> Compute:
    """A percentile, or the maximum, of the values of all trials together."""

    def found(own: Evidence, baseline: Evidence | None) -> Estimate:
        values = [value for f in own.figures for value in pick(f)]
        if name == "max":
            return Estimate(value=max(values, default=None), n=len(values), of="requests")
        percent, needed = PERCENTILES[name]
        if len(values) < needed:
            return Estimate(n=len(values), of="requests")
        ci95 = statistics.quantile_interval(values, percent / 100)
        return Estimate(value=float(np.percentile(values, percent)), ci95=ci95, n=len(values), of="requests")

    return found


def _leak(own: Evidence, baseline: Evidence | None) -> Estimate:
    known = own.leak.mb_per_h is not None
    return Estimate(value=own.leak.mb_per_h, ci95=own.leak.ci95, n=int(known))


def _core_hours(f: Figures) -> float | None:
    return f.cpu.server_s / f.audio_s if f.cpu.server_s is not None and f.audio_s else None


_DURATIONS: tuple[tuple[str, str, Callable[[Figures], Iterable[float]]], ...] = (
    ("turnaround", "from the first byte sent to the final result", lambda f: f.durations.turnaround_s),
    ("latency", "from the last byte sent to the final result", lambda f: f.durations.latency_s),
    ("queue_wait", "that a segment waited for a worker", lambda f: f.durations.queue_wait_s),
    ("compute", "that a worker took for a segment", lambda f: f.durations.compute_s),
)
_WORDS = {"p50": "the median", "p90": "the 90th percentile", "p95": "the 95th percentile", "p99": "the 99th percentile"}


def _distribution(name: str, what: str, pick: Callable[[Figures], Iterable[float]]) -> list[Metric]:
    found = []
    for stat in (*PERCENTILES, "max"):
        limited = name in ("turnaround", "latency") and stat in PERCENTILES
        gate = Gate(unknown=f"needs {PERCENTILES[stat][1]} requests") if limited else None
        needs = f"; from {PERCENTILES[stat][1]} of them on" if stat in PERCENTILES else ""
        definition = f"Time {what}: {_WORDS.get(stat, 'the longest')} of all trials together{needs}."
        header = f"{name.replace('_', ' ')} {stat} s"
        found.append(Metric(f"{name}_{stat}_s", "s", LOWER, definition, _pooled(pick, stat), header, gate=gate))
    return found


_TEXTS = Gate(timed=False, unknown="no reference transcripts")

METRICS: tuple[Metric, ...] = (
    Metric(
        "speedup", "x", HIGHER,
        "Makespan of the baseline / makespan, the median of the ratios within each trial that both completed.",
        speedup, "speedup", gate=Gate(relative=True),
    ),
    Metric(
        "throughput_rtfx", "RTFx", HIGHER,
        "Seconds of audio recognized per second of makespan: the median over trials.",
        _median(lambda f: f.throughput_rtfx, whole=True), "RTFx", gate=Gate(),
    ),
    Metric(
        "makespan_s", "s", LOWER,
        "From the first byte sent to the last final result, over all requests: the median over trials; unknown unless "
        "all requests of all trials completed.",
        _median(lambda f: f.makespan_s, whole=True), "makespan s",
    ),
    Metric(
        "efficiency", "", HIGHER, "Speedup / (usable threads / the baseline's usable threads).",
        _efficiency, "efficiency", gate=Gate(relative=True),
    ),
    Metric(
        "server_efficiency", "", HIGHER,
        "RTFx / the RTFx that the reference reached with as many processes and no server.",
        _server_efficiency, "server eff.",
    ),
    Metric(
        "peak_memory_mb", "MB", LOWER,
        "Memory of the server's processes at its highest, loading included: the highest of all trials.",
        _highest(lambda f: f.memory.peak_mb), "peak MB", 0, gate=Gate(highest=True),
    ),
    Metric(
        "load_peak_memory_mb", "MB", LOWER, "The same before the measured phase, while models load.",
        _highest(lambda f: f.memory.load_peak_mb), "load peak MB", 0,
    ),
    Metric(
        "steady_memory_mb", "MB", LOWER, "The same during the measured phase.",
        _highest(lambda f: f.memory.steady_peak_mb), "steady MB", 0,
    ),
    Metric(
        "rss_peak_memory_mb", "MB", NEITHER,
        "Resident set sizes summed at their highest; counts shared pages once for each process.",
        _highest(lambda f: f.memory.rss_peak_mb), "RSS MB", 0,
    ),
    Metric(
        "memory_growth", "x", LOWER,
        "Steady memory / the baseline's: the median of the ratios within each trial that both have.",
        _growth, "memory growth", gate=Gate(relative=True),
    ),
    Metric(
        "marginal_memory_mb", "MB", LOWER,
        "Steady memory that each worker adds to the baseline's: the median over trials that both have.",
        _marginal, "MB per worker", 0, gate=Gate(relative=True, logs=False),
    ),
    Metric(
        "correctness", "", HIGHER,
        "Share of requests, of all trials, that got exactly one final result, nothing lost, doubled or of another, "
        "covering the sample, with texts equal to the reference's.",
        _share_of_requests(lambda j: j.identical), "correct", percent=True,
        gate=Gate(timed=False, unknown="no control to compare with"),
    ),
    Metric(
        "completed", "", HIGHER, "Share of requests, of all trials, that got a final result.",
        _share_of_requests(lambda j: j.completed), "completed", percent=True,
    ),
    Metric(
        "wer", "", LOWER, "Word errors / words of the transcripts, after normalization; lost text is deletions.",
        _error_rate("wer"), "WER %", 1, True, _TEXTS,
    ),
    Metric(
        "cer", "", LOWER, "Character errors / characters of the transcripts, after normalization.",
        _error_rate("cer"), "CER %", 1, True, _TEXTS,
    ),
    *(metric for each in _DURATIONS for metric in _distribution(*each)),
    Metric(
        "cpu_gateway_s", "s", LOWER, "CPU seconds of the process that clients speak to: the median over trials.",
        _median(lambda f: f.cpu.front_s), "gateway CPU s",
    ),
    Metric(
        "cpu_workers_s", "s", LOWER, "CPU seconds of the recognizing processes: the median over trials.",
        _median(lambda f: f.cpu.workers_s), "workers CPU s",
    ),
    Metric(
        "cpu_client_s", "s", LOWER, "CPU seconds of the client that makes the load: the median over trials.",
        _median(lambda f: f.cpu.client_s), "client CPU s",
    ),
    Metric(
        "cpu_monitor_s", "s", LOWER, "CPU seconds of the monitor: the median over trials.",
        _median(lambda f: f.cpu.monitor_s), "monitor CPU s",
    ),
    Metric(
        "cpu_utilisation", "", NEITHER, "CPU seconds of the server / (makespan x usable CPUs): the median over trials.",
        _median(lambda f: f.cpu.utilisation), "CPU %", 0, True,
    ),
    Metric(
        "core_hours_per_audio_hour", "", LOWER,
        "CPU seconds of the server / seconds of audio recognized: the median over trials.",
        _median(_core_hours), "core h / audio h", 4, gate=Gate(),
    ),
    Metric(
        "leak_mb_per_h", "MB/h", LOWER,
        "Theil-Sen slope of the server's memory in the steady state of the longest trial.",
        _leak, "leak MB/h", gate=Gate(logs=False, unknown="no run was long enough (report.leak_min_s)"),
    ),
)  # fmt: skip
BY_TAG: Mapping[str, Metric] = {metric.tag: metric for metric in METRICS}
GATED: Mapping[str, Metric] = {metric.tag: metric for metric in METRICS if metric.gate is not None}
