"""A/A on real servers: one configuration under two names. How often do the intervals call it different from itself?

Of 95 % intervals 1 in 20 should. `engine.seed=null` makes every run take another time, as runs on a real machine do.
`--neighbour`: beside one that takes a CPU for spells (see neighbour.py).
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

from common import report
from neighbour import neighbour


def same() -> tuple[float, float, float]:
    """The speedup of a configuration over itself, with its interval."""
    # `archive` is among the keys that do not make another experiment of it: the second is compared with the first.
    found = report(
        "engine=null", "engine.rtf=0.05", "engine.jitter=0.1", "engine.seed=null", "samples=quick", "reference=off",
        "archive.samples=true,false", "trials=3", "validity=off",
    ).configurations[1]  # fmt: skip
    speedup = found.metric("speedup")
    return speedup.value or math.nan, *(speedup.ci95 or (math.nan, math.nan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--neighbour", action="store_true")
    asked, different = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(asked.repeats):
            with neighbour(number if asked.neighbour else None, Path(scratch) / "spells"):
                value, low, high = same()
            different += not low <= 1 <= high
            print(f"{number + 1:3}: {value:.3f} ({low:.3f} to {high:.3f})", flush=True)
    print(f"A/A{' beside a neighbour' * asked.neighbour}: {different} of {asked.repeats} sweeps called different")


if __name__ == "__main__":
    main()
