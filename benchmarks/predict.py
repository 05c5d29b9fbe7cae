"""Measure 1 to 16 workers that sleep, predict 32 from them, then measure 32: how far off was the law?"""

from __future__ import annotations

from common import repeats, report

from capsexp.results.report import Scaling

# 320 segments of 3 s: 10 for each of 32 workers.
LOAD = (
    "engine=null", "engine.rtf=0.05", "samples=long", "samples.minutes=2", "load.repeats=8", "load.seg_duration=3",
    "load.seg_overlap=0.5", "reference=off", "validity=off",
)  # fmt: skip


def measured(workers: str) -> tuple[dict[int | None, float | None], tuple[Scaling, ...]]:
    """RTFx by workers, and the fits of the report."""
    found = report(*LOAD, f"workers={workers}", f"trials={trials}")
    return {c.workers: c.value("throughput_rtfx") for c in found.configurations}, found.scaling


trials = repeats(2)
known, scaling = measured("1,2,4,8,16")
truth = measured("32")[0][32]
rows = {row.workers: row for row in scaling[0].predicted}
print("measured: " + ", ".join(f"{n}: {x:.1f}" for n, x in known.items()) + " x real time")
guess, ci95 = rows[32].throughput_rtfx, rows[32].throughput_ci95
print(f"predicted for 32: {guess:.1f} ({ci95[0]:.1f} to {ci95[1]:.1f}); measured {truth:.1f}: off by", end=" ")
print(f"{100 * (guess / truth - 1):+.1f} %")
