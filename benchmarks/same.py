"""A/A on real servers: one configuration under two names. How often do the intervals call it different from itself?

Of 95 % intervals 1 in 20 should. `engine.seed=null` makes every run take another time, as runs on a real machine do.
"""

from __future__ import annotations

import math

from common import repeats, report

SWEEPS = 20

count, different = repeats(SWEEPS), 0
for number in range(count):
    # `archive` is among the keys that do not make another experiment of it: the second is compared with the first.
    found = report(
        "engine=null", "engine.rtf=0.05", "engine.jitter=0.1", "engine.seed=null", "samples=quick", "reference=off",
        "archive.samples=true,false", "trials=3", "validity=off",
    ).configurations[1]  # fmt: skip
    speedup = found.metric("speedup")
    low, high = speedup.ci95 or (math.nan, math.nan)
    different += not low <= 1 <= high
    print(f"{number + 1:3}: {speedup.value:.3f} ({low:.3f} to {high:.3f})", flush=True)
print(f"A/A: {different} of {count} sweeps called different")
