"""The planner's model of one sleeping worker, against measured runs of up to 32: arrivals by chance, and dictation.

A worker sleeps a quarter of the audio's time, which is long beside what a busy machine adds. The model is made of the
runs with one worker, and the others are predicted from it: none of them is known to it.
"""

from __future__ import annotations

import argparse
import os

from common import sweep
from tabulate import tabulate

from capsexp.plan.fit import Measured, fit
from capsexp.plan.predict import errors
from capsexp.plan.read import measured
from capsexp.results.read import read_sweep

RTF = 0.25
SERVER = (
    "engine=null", f"engine.rtf={RTF}", "pool=prefork", "samples=quick", "reference=off", "validity=off", "trials=1",
    "trials_max=1", "monitor.interval=1", "load.packet_s=0.5",
)  # fmt: skip
CLIP_S, THINK_S = 9.0, 2.0  # of the shipped clips, about; and of a user


def loads(workers: int, seconds: float, use: float) -> dict[str, tuple[str, ...]]:
    """For so many workers, of whose time so much is used, and about so long."""
    cycle = CLIP_S * (1 + RTF) + THINK_S
    users = max(1, round(use * workers * cycle / (CLIP_S * RTF)))
    return {
        "rate": ("load=rate", "load.unit=rtfx", f"load.rate={use * workers / RTF:g}", f"load.duration_s={seconds:g}"),
        "dictation": (
            "load=dictation", f"load.users={users}", f"load.turns={max(2, round(seconds / cycle))}",
            f"load.think_s={THINK_S:g}",
        ),
    }  # fmt: skip


def made(workers: int, load: tuple[str, ...]) -> list[Measured]:
    with sweep(*SERVER, f"workers={workers}", *load) as folder:
        return measured(read_sweep(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--use", type=float, default=0.6, help="of the workers' time")
    asked = parser.parse_args()
    single = [one for load in loads(1, 2 * asked.seconds, 0.6).values() for one in made(1, load)]
    model, rows = fit(single), []
    for workers in asked.workers:
        for name, load in loads(workers, asked.seconds, asked.use).items():
            for error in errors(model, made(workers, load)):
                rows.append([
                    workers, name, error.metric, f"{error.measured:.3f}", f"{error.predicted:.3f}",
                    f"{100 * error.share:+.1f} %", error.n,
                ])  # fmt: skip
        print(f"{workers} workers done, load average {os.getloadavg()[0]:.0f}", flush=True)
    print(tabulate(rows, ("workers", "load", "figure", "measured", "predicted", "off by", "requests")))
