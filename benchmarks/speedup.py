"""2 sphinx workers against 1; the server against the control with as many processes; every transcript right."""

from __future__ import annotations

from statistics import median

from common import by_key, ratios, repeats, runs

found = runs(repeats(), "workers=1,2", "control.processes=sweep")
keys = by_key(found)
ratios("speedup of 2 workers", keys["workers=1"], keys["workers=2"])
for key, trials in keys.items():
    reached = median(run["metrics"]["throughput_xrt"] for run in trials)
    ceiling = next(c for c in trials[0]["control_runs"] if c["processes"] == trials[0]["workers"])["throughput_xrt"]
    print(f"{key}: {reached:.2f} x real time, control {ceiling:.2f}, server efficiency {reached / ceiling:.3f}")
    print(
        f"{key}: {trials[0]['correctness']['identical']} of {trials[0]['correctness']['requests']} requests identical"
    )
