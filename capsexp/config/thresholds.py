"""`thresholds`: what is demanded of a configuration. A number that is null is not looked at."""

from __future__ import annotations

from dataclasses import dataclass, field


def _tiers() -> dict[str, dict[str, float]]:
    return {
        "speedup": {"excellent": 1.8, "good": 1.5, "fair": 1.2},
        "memory_growth": {"ideal": 2.2, "acceptable": 2.5},
        "peak_memory_mb": {"ok": 6144.0, "borderline": 8192.0},
    }


@dataclass
class ThresholdsConfig:
    """A limit on each metric that has a gate: see docs/reference/metrics.md, and analysis.metrics."""

    speedup: float | None = 1.5
    memory_growth: float | None = 2.5
    peak_memory_mb: float | None = 6144.0
    correctness: float | None = 1.0
    wer: float | None = None
    cer: float | None = None
    wer_accu: float | None = None
    cer_accu: float | None = None
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
    stop_to_text_p50_s: float | None = None
    stop_to_text_p90_s: float | None = None
    stop_to_text_p95_s: float | None = None
    stop_to_text_p99_s: float | None = None
    core_hours_per_audio_hour: float | None = None
    leak_mb_per_h: float | None = None
    marginal_memory_mb: float | None = None  # per worker beyond the baseline's
    tiers: dict[str, dict[str, float]] = field(default_factory=_tiers)  # best first
    caveats: list[str] = field(default_factory=lambda: ["fair", "borderline"])  # tiers that pass, but with a caveat
