"""What server and client can carry when recognition costs nothing; and 32 workers that sleep 0.05 x their audio."""

from __future__ import annotations

from statistics import median

from common import repeats, runs

trials = repeats()
free = runs(trials, "engine=null", "workers=2", "samples=long", "samples.minutes=10", "load.repeats=4", "reference=off")
print(f"engine=null: {median(made.rtfx for made in free):.0f} x real time through server and client")
asleep = runs(
    trials,
    "engine=null",
    "engine.rtf=0.05",
    "workers=32",
    "samples=long",
    "samples.minutes=20",
    "load.repeats=16",
    "reference=off",
)
segments = asleep[0].figures.segments // 32
reached = median(made.rtfx for made in asleep)
print(f"32 workers, {segments} segments each: {reached:.0f} of 640 x real time: {reached / 640:.3f}")
