"""Real servers whose second worker brings a speedup that is known: 1.8, 1.2 and 1.5 against the gate of 1.5.

Two clips, one segment each: one worker takes the sum of their lengths, two take the longer. Workers sleep, so no
core is needed, and each sleep varies by 3 % from run to run.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from common import repeats, report

CLIPS = {1.8: (12.5, 10.0, "PASS"), 1.2: (12.5, 2.5, "FAIL"), 1.5: (12.5, 6.25, "INCONCLUSIVE")}

trials = repeats()
for planted, (first, second, expected) in CLIPS.items():
    with tempfile.TemporaryDirectory() as folder:
        for number, seconds in enumerate((first, second)):
            noise = np.random.default_rng(number).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
            soundfile.write(Path(folder) / f"{number}.wav", noise, 16_000)
        found = report(
            "engine=null", "engine.rtf=0.2", "engine.jitter=0.03", "engine.seed=null", "samples=dir",
            f"samples.dir={folder}", "workers=1,2", "reference=off", f"trials={trials}", "validity=off",
        ).configurations[1]  # fmt: skip
    gate = next(gate for gate in found.gates if gate.metric == "speedup")
    low, high = gate.ci95 or (math.nan, math.nan)
    print(
        f"planted {planted}: measured {gate.value:.3f} ({low:.3f} to {high:.3f}), limit {gate.limit}: "
        f"{gate.verdict}, expected {expected}",
        flush=True,
    )
