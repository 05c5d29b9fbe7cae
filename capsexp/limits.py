"""The part of the configuration that judges: what is demanded of a configuration, which runs count, what is reported.

A number that is null is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from capsexp.bounds import number


def _tiers() -> dict[str, dict[str, float]]:
    return {
        "speedup": {"excellent": 1.8, "good": 1.5, "fair": 1.2},
        "memory_growth": {"ideal": 2.2, "acceptable": 2.5},
        "peak_memory_mb": {"ok": 6144.0, "borderline": 8192.0},
    }


@dataclass
class ThresholdsConfig:
    """A limit on each metric that has a gate: see docs/metrics.md, and analysis.metrics."""

    speedup: float | None = 1.5
    memory_growth: float | None = 2.5
    peak_memory_mb: float | None = 6144.0
    correctness: float | None = 1.0
    wer: float | None = None
    cer: float | None = None
    throughput_rtfx: float | None = None
    efficiency: float | None = None
    turnaround_p50_s: float | None = None
    turnaround_p90_s: float | None = None
    turnaround_p95_s: float | None = None
    turnaround_p99_s: float | None = None
    latency_p50_s: float | None = None
    latency_p90_s: float | None = None
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None
    core_hours_per_audio_hour: float | None = None
    leak_mb_per_h: float | None = None
    marginal_memory_mb: float | None = None  # per worker beyond the baseline's
    tiers: dict[str, dict[str, float]] = field(default_factory=_tiers)  # best first
    caveats: list[str] = field(default_factory=lambda: ["fair", "borderline"])  # tiers that pass, but with a caveat


@dataclass
class ValidityConfig:
    """Above (frequency: below) any of these a run's times are not the server's own, and the run is INVALID."""

    min_s: float | None = 5.0  # that the measured phase lasts
    client_cpu: float | None = 0.95  # share of one CPU that the client used
    client_lag_s: float | None = 0.5  # longest time the client kept a result waiting
    major_faults_per_s: float | None = 100.0  # of the server's processes
    swap_in_mb: float | None = 16.0  # read back by the whole system
    steal_percent: float | None = 10.0  # taken by the host of a virtual machine
    other_cpu: float | None = 0.25  # share of all CPUs that processes of others used
    frequency: float | None = 0.7  # of the later half of the run / of its earlier half
    monitor_gap_s: float | None = 3.0  # without a sample, beyond the interval
    warmup: float | None = 3.0  # a worker's first segment / its later ones, per second of audio


@dataclass
class ReportConfig:
    fail_on_gate: bool = False
    formats: list[str] = field(default_factory=lambda: ["text", "markdown", "json"])  # what is written: see exporters/
    tolerance: float = number(0.05, high=1)  # within this of the best throughput counts as equally fast
    ci_width: float = number(0.05, low=0.001)  # trials=auto goes on until every gated ratio is known to +- this
    leak_min_s: float = 1800.0  # of steady state, before a slope of memory is judged
    checkpoint_s: float = number(300.0, low=1)  # between reports of a run that is under way, with hours=
    max_rows: int = number(20_000, low=100)  # of requests and of segments; a quarter as many ticks of the monitor
    reserve_mb: float = 2048.0  # left to everything else in the table of worker counts by memory size
