"""Measure 1 to 16 workers that sleep, predict 32 from them, then measure 32: how far off was the law?"""

from __future__ import annotations

from common import repeats, report

LOAD = (
    "engine=null", "engine.rtf=0.05", "samples=long", "samples.minutes=10", "control=off", "validity=off",
)  # fmt: skip


def measured(trials: int, workers: str, files: int) -> dict[int, float]:
    found = report(*LOAD, f"workers={workers}", f"load.repeats={files}", f"trials={trials}")
    scaling.extend(found["scaling"])
    return {c["workers"]: c["throughput_xrt"] for c in found["configurations"]}


trials, scaling = repeats(), []
known = measured(trials, "1,2,4,8,16", 8)
rows = {row["workers"]: row for row in scaling[0]["predicted"]}
truth = measured(trials, "32", 8)[32]
print("measured: " + ", ".join(f"{n}: {x:.1f}" for n, x in known.items()) + " x real time")
guess, ci95 = rows[32]["throughput_xrt"], rows[32]["throughput_ci95"]
print(f"predicted for 32: {guess:.1f} ({ci95[0]:.1f} to {ci95[1]:.1f}); measured {truth:.1f}: off by", end=" ")
print(f"{100 * (guess / truth - 1):+.1f} %")
