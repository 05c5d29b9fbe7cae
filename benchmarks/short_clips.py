"""100 clips of half a second, four at a time: what a second worker brings where every request is short, beside what a
loop without a server gets. A client that held its place until a connection was closed would hide it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from common import by_key, ratios, repeats, runs

trials = repeats(3)
with tempfile.TemporaryDirectory() as scratch:
    for number in range(100):
        audio = np.random.default_rng(number).normal(0, 0.1, 8000).astype(np.float32)
        soundfile.write(Path(scratch) / f"{number:03}.wav", audio, 16_000)
    found = runs(
        trials, "workers=1,2", "engine=null", "engine.rtf=0.02", "samples=dir", f"samples.dir={scratch}",
        "load.concurrency=4", "load.repeats=5", "reference.processes=sweep", "reference.share=null",
        "validity=off",
    )  # fmt: skip
keys = by_key(found)
ratios("speedup of 2 workers", keys["workers=1"], keys["workers=2"])
alone = [median(made.run.reference_runs[0].throughput_rtfx for made in keys[f"workers={n}"]) for n in (1, 2)]
print(f"without a server: {alone[1] / alone[0]:.3f}")
