"""`thresholds`: the limits that a configuration has to meet. null: no limit."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.config.limits import Limits
from capsexp.setting import setting


@dataclass
class ThresholdsConfig(Limits):
    """A gate for each metric; null: none. docs/reference/metrics.md defines the metrics."""

    tiers: dict[str, dict[str, float]] = setting(
        {
            "speedup": {"excellent": 1.8, "good": 1.5, "fair": 1.2},
            "memory_growth": {"ideal": 2.2, "acceptable": 2.5},
            "peak_memory_mb": {"ok": 6144.0, "borderline": 8192.0},
        },
        "words for how good a value is, best first; they decide nothing",
    )
    caveats: list[str] = setting(["fair", "borderline"], "tiers that turn FEASIBLE into FEASIBLE WITH CAVEATS")
