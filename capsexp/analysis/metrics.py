"""Every metric, declared once: its tag, unit, direction, definition, header, how it comes of the runs that count, and
how a limit on it is judged. Tables, gates, thresholds and the reference page are made of this list. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from capsexp.analysis.combine import (
    PERCENTILES,
    Compute,
    Evidence,
    core_hours,
    efficiency,
    error_rate,
    highest_of,
    leak,
    makespan,
    marginal_memory,
    mean_of,
    memory_growth,
    pooled,
    server_efficiency,
    share_of_requests,
    speedup,
    throughput,
)
from capsexp.analysis.figures import Figures
from capsexp.results.report import Estimate

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"


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


_DURATIONS: tuple[tuple[str, str, Callable[[Figures], Iterable[float]]], ...] = (
    ("turnaround", "from the first byte sent to the final result", lambda f: f.durations.turnaround_s),
    ("latency", "from the last byte sent to the final result", lambda f: f.durations.latency_s),
    (
        "stop_to_text",
        "from the moment the last packet was due, when its user stopped speaking, to the final result",
        lambda f: f.felt.stop_to_text_s,
    ),
    ("lag", "that a text before the last trailed the audio that it covers", lambda f: f.felt.lag_s),
    ("lateness", "that the client itself was late with a request or packet", lambda f: f.felt.lateness_s),
    ("queue_wait", "that a segment waited for a worker", lambda f: f.durations.queue_wait_s),
    ("compute", "that a worker took for a segment", lambda f: f.durations.compute_s),
)
_WORDS = {"p50": "the median", "p90": "the 90th percentile", "p95": "the 95th percentile", "p99": "the 99th percentile"}


def _distribution(name: str, what: str, pick: Callable[[Figures], Iterable[float]]) -> list[Metric]:
    found = []
    for stat in (*PERCENTILES, "max"):
        limited = name in ("turnaround", "latency", "stop_to_text") and stat in PERCENTILES
        gate = Gate(unknown=f"needs {PERCENTILES[stat][1]} requests") if limited else None
        needs = f"; from {PERCENTILES[stat][1]} of them on" if stat in PERCENTILES else ""
        definition = f"Time {what}: {_WORDS.get(stat, 'the longest')} of all trials together{needs}."
        header = f"{name.replace('_', ' ')} {stat} s"
        found.append(Metric(f"{name}_{stat}_s", "s", LOWER, definition, pooled(pick, stat), header, gate=gate))
    return found


_ROLES: tuple[tuple[str, str, Callable[[Figures], float | None]], ...] = (
    ("gateway", "the process that clients speak to", lambda f: f.cpu.gateway_s),
    ("workers", "the recognizing processes", lambda f: f.cpu.workers_s),
    ("client", "the client that makes the load", lambda f: f.cpu.client_s),
    ("monitor", "the monitor", lambda f: f.cpu.monitor_s),
)


def _cpu_seconds(role: str, who: str, pick: Callable[[Figures], float | None]) -> Metric:
    definition = f"CPU seconds of {who}: the geometric mean over trials."
    return Metric(f"cpu_{role}_s", "s", LOWER, definition, mean_of(pick), f"{role} CPU s")


_TEXTS = Gate(timed=False, unknown="no reference transcripts")
_ACCURATE = Gate(timed=False, unknown="no reference transcripts, or no text_accu")

METRICS: tuple[Metric, ...] = (
    Metric(
        "speedup", "x", HIGHER,
        "Makespan of the baseline / makespan, the geometric mean of the ratios within each trial that both completed.",
        speedup, "speedup", gate=Gate(relative=True),
    ),
    Metric(
        "throughput_rtfx", "RTFx", HIGHER,
        "Seconds of audio recognized per second of makespan: the geometric mean over trials, as makespan_s.",
        throughput, "RTFx", gate=Gate(),
    ),
    Metric(
        "makespan_s", "s", LOWER,
        "From the first byte sent to the last final result, over all requests: the geometric mean over trials, "
        "as if in all of the baseline's; unknown unless all requests of all trials completed.",
        makespan, "makespan s",
    ),
    Metric(
        "efficiency", "", HIGHER, "Speedup / (usable threads / the baseline's usable threads).",
        efficiency, "efficiency", gate=Gate(relative=True),
    ),
    Metric(
        "server_efficiency", "", HIGHER,
        "RTFx / the RTFx that the reference reached with as many processes and no server.",
        server_efficiency, "server eff.",
    ),
    Metric(
        "peak_memory_mb", "MB", LOWER,
        "Memory of the server's processes at its highest, loading included: the highest of all trials.",
        highest_of(lambda f: f.memory.peak_mb), "peak MB", 0, gate=Gate(highest=True),
    ),
    Metric(
        "load_peak_memory_mb", "MB", LOWER, "The same before the measured phase, while models load.",
        highest_of(lambda f: f.memory.load_peak_mb), "load peak MB", 0,
    ),
    Metric(
        "steady_memory_mb", "MB", LOWER, "The same during the measured phase.",
        highest_of(lambda f: f.memory.steady_peak_mb), "steady MB", 0,
    ),
    Metric(
        "rss_peak_memory_mb", "MB", NEITHER,
        "Resident set sizes summed at their highest; counts shared pages once for each process.",
        highest_of(lambda f: f.memory.rss_peak_mb), "RSS MB", 0,
    ),
    Metric(
        "memory_growth", "x", LOWER,
        "Steady memory / the baseline's: the geometric mean of the ratios within each trial that both have.",
        memory_growth, "memory growth", gate=Gate(relative=True),
    ),
    Metric(
        "marginal_memory_mb", "MB", LOWER,
        "Steady memory that each worker adds to the baseline's: the mean over trials that both have.",
        marginal_memory, "MB per worker", 0, gate=Gate(relative=True, logs=False),
    ),
    Metric(
        "correctness", "", HIGHER,
        "Share of requests, of all trials, that got exactly one final result, nothing lost, doubled or of another, "
        "covering the sample, with texts equal to the reference's. Requests whose sample a server that is asked alone "
        "answers in two ways (reference=server) count only where they are wrong in another way.",
        share_of_requests(lambda j: j.identical, lambda j: j.judged), "correct", percent=True,
        gate=Gate(timed=False, unknown="no reference to compare with, or none that is the same twice"),
    ),
    Metric(
        "completed", "", HIGHER, "Share of requests, of all trials, that got a final result.",
        share_of_requests(lambda j: j.completed), "completed", percent=True,
    ),
    Metric(
        "wer", "", LOWER,
        "Word errors of `text` / words of the transcripts, after normalization; lost text is deletions.",
        error_rate("wer"), "WER %", 1, True, _TEXTS,
    ),
    Metric(
        "cer", "", LOWER, "Character errors of `text` / characters of the transcripts, after normalization.",
        error_rate("cer"), "CER %", 1, True, _TEXTS,
    ),
    Metric(
        "wer_accu", "", LOWER, "wer of `text_accu`, the text merged by times, where such a server delivers one.",
        error_rate("wer_accu"), "WER % by times", 1, True, _ACCURATE,
    ),
    Metric(
        "cer_accu", "", LOWER, "cer of `text_accu`, likewise.",
        error_rate("cer_accu"), "CER % by times", 1, True, _ACCURATE,
    ),
    Metric(
        "offered_rtfx", "RTFx", NEITHER,
        "Seconds of audio that were due per second, of a load that says itself when it comes: the mean over trials.",
        mean_of(lambda f: f.felt.offered_rtfx), "offered RTFx",
    ),
    Metric(
        "late_rtfx", "RTFx", LOWER,
        "Seconds of audio per second whose text came later than they last after their end was due, or not at all: the "
        "mean over trials.",
        mean_of(lambda f: f.felt.late_rtfx), "late RTFx",
    ),
    Metric(
        "in_flight", "", NEITHER,
        "Requests under way, the mean over the time of the load and over trials. By Little's law it is arrivals per "
        "second times turnaround: a run whose client counted otherwise is INVALID.",
        mean_of(lambda f: f.felt.in_flight), "in flight",
    ),
    *(metric for each in _DURATIONS for metric in _distribution(*each)),
    *(_cpu_seconds(*each) for each in _ROLES),
    Metric(
        "cpu_utilisation", "", NEITHER,
        "CPU seconds of the server / (makespan x usable CPUs): the geometric mean over trials.",
        mean_of(lambda f: f.cpu.utilisation), "CPU %", 0, True,
    ),
    Metric(
        "core_hours_per_audio_hour", "", LOWER,
        "CPU seconds of the server / seconds of audio recognized: the geometric mean over trials.",
        mean_of(core_hours), "core h / audio h", 4, gate=Gate(),
    ),
    Metric(
        "leak_mb_per_h", "MB/h", LOWER,
        "Theil-Sen slope of the server's memory in the steady state of the longest trial.",
        leak, "leak MB/h", gate=Gate(logs=False, unknown="no run was long enough (report.leak_min_s)"),
    ),
)  # fmt: skip
BY_TAG: Mapping[str, Metric] = {metric.tag: metric for metric in METRICS}
GATED: Mapping[str, Metric] = {metric.tag: metric for metric in METRICS if metric.gate is not None}
