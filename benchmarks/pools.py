"""A model of Paraformer-large's size behind each kind of pool: as fast as process, a fraction of its memory?"""

from __future__ import annotations

from common import by_key, ratios, repeats, runs

WORKERS = (1, 2, 3)
# Pools change fastest, so that those compared ran next to each other.
found = runs(
    repeats(), "engine=paraformer", "engine.twin=paraformer-large", "workers=1,2,3", "pool=process,prefork,thread"
)
keys = by_key(found)
for pool in ("prefork", "thread"):
    for workers in WORKERS:
        slower, faster = keys[f"workers={workers},pool=process"], keys[f"workers={workers},pool={pool}"]
        ratios(f"{pool} against process, {workers} workers: throughput", slower, faster)
steady = {key: max(made.figures.memory.steady_peak_mb or 0.0 for made in trials) for key, trials in keys.items()}
for pool in ("process", "prefork", "thread"):
    one = steady[f"workers=1,pool={pool}"]
    sizes = ", ".join(f"{steady[f'workers={n},pool={pool}'] / one:.2f}x" for n in WORKERS[1:])
    print(f"{pool}: {one:.0f} MB steady PSS with 1 worker; with 2 and 3 workers {sizes}")
for pool in ("process", "prefork", "thread"):
    ratios(f"{pool}: speedup of 2 workers", keys[f"workers=1,pool={pool}"], keys[f"workers=2,pool={pool}"])
requests = [trials[0].requests for trials in keys.values()]
same = sum(r.identical or 0 for r in requests)
print(f"texts equal to the reference's: {same} of {sum(r.total for r in requests)}")
