"""What the live view says is left of a sweep, against what was; and the CPU that looking on costs. Of the second sweep
each configuration is run once, so that two thirds of it are foretold without having been seen."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from capsexp.live.read import Folder
from capsexp.live.state import time_left

# A busy machine has runs repeated that it disturbed, which nobody can foretell.
BASE = ("engine=null", "engine.rtf=0.1", "load.min_s=8", "validity=off", "live=false")
ASKED = {
    "workers=1,2, three trials": ("workers=1,2", "trials=3"),
    "workers=1,2,4, one trial": ("workers=1,2,4", "trials=1"),
}


def watched(*overrides: str) -> tuple[list[tuple[float, float]], float, float]:
    """Moments with what was said to be left then, the sweep's length, both in seconds, and the CPU share of looking."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "sweep"
        command = [sys.executable, "-m", "capsexp", *BASE, *overrides, f"hydra.sweep.dir={folder}"]
        sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (folder / "sweep.json").is_file():
            assert sweep.poll() is None
            time.sleep(0.05)
        began, cpu, said, reader, runs = time.monotonic(), time.process_time(), [], Folder(folder), 0.0
        while sweep.poll() is None:
            known = reader.look()
            now = time.monotonic() - began
            if known.at_work is not None:
                runs = now  # what comes after the last run is the report
            left = time_left(known).sweep_s
            if left is not None:
                said.append((now, left))
            time.sleep(1.0)
        return said, runs, (time.process_time() - cpu) / (time.monotonic() - began)


for name, overrides in ASKED.items():
    said, whole, cpu = watched(*overrides)
    for part in (1 / 3, 1 / 2, 2 / 3):
        now, left = next(pair for pair in said if pair[0] >= part * whole)
        error = (now + left) / whole - 1
        print(
            f"{name}: after {now:.0f} s of {whole:.0f} s: {left:.0f} s were said to be left, {whole - now:.0f} s were; "
            f"the whole is off by {100 * error:+.1f} %, what is left by {100 * (left / (whole - now) - 1):+.1f} %"
        )
    print(f"{name}: looking on took {100 * cpu:.1f} % of a CPU")
