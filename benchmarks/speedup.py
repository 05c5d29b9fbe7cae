"""2 sphinx workers against 1; the server against the reference with as many processes; every transcript right."""

from __future__ import annotations

from statistics import median

from common import by_key, ratios, repeats, runs

found = runs(repeats(), "workers=1,2", "reference.processes=sweep", "reference.share=null")
keys = by_key(found)
ratios("speedup of 2 workers", keys["workers=1"], keys["workers=2"])
for key, trials in keys.items():
    first, reached = trials[0], median(made.rtfx for made in trials)
    ceilings = [made.run.reference_runs[0].throughput_rtfx for made in trials]
    efficiency = median(made.rtfx / ceiling for made, ceiling in zip(trials, ceilings, strict=True))
    print(
        f"{key}: {reached:.2f} x real time, the reference beside it {median(ceilings):.2f}, server efficiency "
        f"{efficiency:.3f}"
    )
    print(f"{key}: {first.requests.identical} of {first.requests.total} requests identical")
