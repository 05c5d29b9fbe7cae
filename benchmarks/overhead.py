"""The monitor's own CPU at 0.5 s over 4 processes, and the time of a run outside loading and the measured load."""

from __future__ import annotations

from statistics import median

from common import repeats, runs

# Gateway, its helper, the worker and the client are 4 processes; the monitor watches itself besides.
found = runs(repeats(), "workers=1", "engine=null", "engine.rtf=0.1", "reference=off")
shares = [(made.figures.cpu.monitor_s or 0.0) / made.makespan_s for made in found]
print(f"monitor: median {100 * median(shares):.2f} % of a core of {', '.join(f'{100 * s:.2f}' for s in shares)}")
phases = [made.run.phases_s for made in found]
outside = [p["total"] - p["load_models"] - p["load"] for p in phases]
print(f"outside loading and load: median {median(outside):.2f} s of {', '.join(f'{s:.2f}' for s in outside)}")
