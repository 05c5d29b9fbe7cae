"""2 sphinx workers against 1; the server against the reference with as many processes; every transcript right."""

from __future__ import annotations

from statistics import median

from common import by_key, ratios, repeats, runs

found = runs(repeats(), "workers=1,2", "reference.processes=sweep")
keys = by_key(found)
ratios("speedup of 2 workers", keys["workers=1"], keys["workers=2"])
for key, trials in keys.items():
    reached, first = median(made.rtfx for made in trials), trials[0]
    alone = first.reference.runs if first.reference else ()
    ceiling = next(r.throughput_rtfx for r in alone if r.processes == first.run.workers)
    print(f"{key}: {reached:.2f} x real time, reference {ceiling:.2f}, server efficiency {reached / ceiling:.3f}")
    print(f"{key}: {first.requests.identical} of {first.requests.total} requests identical")
