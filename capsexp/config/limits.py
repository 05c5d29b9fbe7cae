"""Made from capsexp/analysis/metrics/ by `python docs/generate.py`: change it there."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class Limits:
    """A limit on each metric that has a gate."""

    throughput_rtfx: float | None = setting(None, "at least, RTFx")
    speedup: float | None = setting(1.5, "at least, x, against the baseline")
    efficiency: float | None = setting(None, "at least, against the baseline")
    peak_memory_mb: float | None = setting(6144.0, "at most, MB")
    memory_growth: float | None = setting(2.5, "at most, x, against the baseline")
    marginal_memory_mb: float | None = setting(None, "at most, MB, against the baseline")
    leak_mb_per_h: float | None = setting(None, "at most, MB/h")
    correctness: float | None = setting(1.0, "at least, as a share")
    wer: float | None = setting(None, "at most, as a share")
    cer: float | None = setting(None, "at most, as a share")
    wer_accu: float | None = setting(None, "at most, as a share")
    cer_accu: float | None = setting(None, "at most, as a share")
    turnaround_p50_s: float | None = setting(None, "at most, s")
    turnaround_p90_s: float | None = setting(None, "at most, s")
    turnaround_p95_s: float | None = setting(None, "at most, s")
    turnaround_p99_s: float | None = setting(None, "at most, s")
    latency_p50_s: float | None = setting(None, "at most, s")
    latency_p90_s: float | None = setting(None, "at most, s")
    latency_p95_s: float | None = setting(None, "at most, s")
    latency_p99_s: float | None = setting(None, "at most, s")
    stop_to_text_p50_s: float | None = setting(None, "at most, s")
    stop_to_text_p90_s: float | None = setting(None, "at most, s")
    stop_to_text_p95_s: float | None = setting(None, "at most, s")
    stop_to_text_p99_s: float | None = setting(None, "at most, s")
    core_hours_per_audio_hour: float | None = setting(None, "at most")
