"""`thresholds`: what is demanded of a configuration. A number that is null is not looked at."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.config.limits import Limits
from capsexp.setting import setting


@dataclass
class ThresholdsConfig(Limits):
    """A gate each; null leaves it out. What they measure stands in docs/reference/metrics.md."""

    tiers: dict[str, dict[str, float]] = setting(
        {
            "speedup": {"excellent": 1.8, "good": 1.5, "fair": 1.2},
            "memory_growth": {"ideal": 2.2, "acceptable": 2.5},
            "peak_memory_mb": {"ok": 6144.0, "borderline": 8192.0},
        },
        "a word for how good a value is, best first; they judge nothing",
    )
    caveats: list[str] = setting(["fair", "borderline"], "tiers that pass a gate, but make it FEASIBLE WITH CAVEATS")
