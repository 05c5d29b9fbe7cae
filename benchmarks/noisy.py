"""Does the answer hold beside a neighbour? Default sweeps of workers=1,2,3, one after the other, while another process
takes one CPU for spells of 2 to 10 s, 30 % of the time; and without it. Words after the options are overrides.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common import report
from tabulate import tabulate

from capsexp.results.report import Configuration, Recommendation, Report

SHARE = 0.3  # of the time that the neighbour is busy
SPELL_S = 2.0, 10.0
PASSES = ("FEASIBLE", "FEASIBLE_WITH_CAVEATS", "BASELINE")
TOLERANCE = 0.05  # report.tolerance


def be_busy(seed: int) -> None:
    """Until it is ended: pauses of random length, and spells in which it uses one CPU."""
    draw, busy = random.Random(seed), False
    pause_s = sum(SPELL_S) / 2 * (1 - SHARE) / SHARE
    while True:
        until = time.monotonic() + (draw.uniform(*SPELL_S) if busy else draw.expovariate(1 / pause_s))
        while time.monotonic() < until:
            if not busy:
                time.sleep(max(0.0, until - time.monotonic()))
        busy = not busy


@contextmanager
def neighbour(seed: int | None) -> Iterator[None]:
    """A neighbour for as long as it lasts; none without a seed."""
    if seed is None:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=be_busy, args=(seed,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def contradictions(found: Report) -> list[str]:
    """What of a report speaks against what it recommends."""
    chosen, rows = found.recommendation, {c.key: c for c in found.configurations}
    if chosen is None:
        return []
    enough = (1 - TOLERANCE) * max(_speed(c) for c in rows.values() if c.verdict in PASSES or c.key == chosen.key)
    said = [f"{other.key} dominates it" for other in rows.values() if dominates(other, rows[chosen.key], enough)]
    said += [cause for cause in found.diagnosis.get(chosen.key, ()) if "no faster than" in cause]
    if chosen.decided and rows[chosen.key].verdict not in PASSES:
        said.append(f"decided, and {rows[chosen.key].verdict}")
    return said + _against_the_next(chosen, rows)


def _against_the_next(chosen: Recommendation, rows: dict[str, Configuration]) -> list[str]:
    """What was measured of the next number of workers is not told as predicted, nor what lost as a gain."""
    step = chosen.next
    measured = [c for c in rows.values() if step and c.workers == step.workers]
    if step is None or not measured:
        return []
    lost = measured[0].verdict not in PASSES and not step.but
    return [f"{step.workers} workers were measured"] * step.predicted + [f"{step.workers} workers lost"] * lost


def dominates(other: Configuration, one: Configuration, enough: float) -> bool:
    """Whether another one that passes is no slower (from the speed `enough` on all are as fast), no bigger, and clearly
    smaller."""
    if other.key == one.key or other.verdict not in PASSES or _speed(other) < min(enough, _speed(one)):
        return False
    mine, theirs = _size(one), _size(other)
    no_bigger = all(a <= b for a, b in zip(theirs, mine, strict=True))
    return no_bigger and (theirs[0] < (1 - TOLERANCE) * mine[0] or theirs[1:] != mine[1:])


def _speed(c: Configuration) -> float:
    return c.value("throughput_rtfx") or 0.0


def _size(c: Configuration) -> tuple[float, int, int]:
    return c.value("peak_memory_mb") or 0.0, c.workers or 1, c.threads or 1


def settled(found: Report) -> bool:
    return not found.trials.open and found.verdict not in ("INCONCLUSIVE", "INVALID")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--neighbour", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=1, help="of the first sweep's neighbour")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    said, rows, times = Counter[str](), [], []
    for number in range(asked.sweeps):
        begun = time.monotonic()
        with neighbour(asked.seed + number if asked.neighbour else None):
            found = report("workers=1,2,3", *asked.overrides)
        times.append(time.monotonic() - begun)
        chosen, against = found.recommendation, contradictions(found)
        said["recommended 2"] += bool(chosen and chosen.workers == 2)
        said["contradicted themselves"] += bool(against)
        said["settled"] += settled(found)
        counts = "/".join(str(c.trials) for c in found.configurations)
        invalid = sum(c.validity.invalid for c in found.configurations)
        rows.append(
            [
                number + 1, found.verdict, chosen.key if chosen else "-", "yes" if chosen and chosen.decided else "no",
                "yes" if settled(found) else "no", counts, invalid, f"{times[-1]:.0f}", "; ".join(against),
            ]
        )  # fmt: skip
        print(f"sweep {number + 1}: {rows[-1][1:]}; {found.trials.stopped}", flush=True)
    heads = ("sweep", "verdict", "recommended", "decided", "settled", "trials", "INVALID", "s", "contradictions")
    print(tabulate(rows, heads))
    ends = ", ".join(f"{said[what]} {what}" for what in ("recommended 2", "contradicted themselves", "settled"))
    beside = "beside a neighbour" if asked.neighbour else "without a neighbour"
    print(f"{asked.sweeps} sweeps {beside}: {ends}; {min(times):.0f} to {max(times):.0f} s each")


if __name__ == "__main__":
    main()
