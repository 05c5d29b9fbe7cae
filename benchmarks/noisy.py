"""Does the answer hold beside a neighbour? Default sweeps of workers=1,2,3, one after the other, while another process
takes one CPU for spells of 2 to 10 s, 30 % of the time (see neighbour.py); and without it. Are disturbed runs found,
and others not accused? Words after the options are overrides; `--simulated N`: N sweeps in simulated time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import noisy_simulated
from common import sweep
from neighbour import neighbour, read, touched
from tabulate import tabulate

from capsexp.results.read import read_report, read_sweep
from capsexp.results.report import Configuration, Recommendation, Report
from capsexp.results.sweep import read_plan

PASSES = ("FEASIBLE", "FEASIBLE_WITH_CAVEATS", "BASELINE")
TOLERANCE = 0.05  # report.tolerance
MUCH = 0.1  # of a run's time, in which the neighbour was busy


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


def runs(folder: Path, told: Path, found: Report) -> list[tuple[int, float, str]]:
    """Of each run that ended well its workers, the share of its load in which the neighbour was busy, and the codes of
    what it was found to be disturbed by."""
    busy = read(told)
    places = {run.num: run.dir for run in read_plan(folder).planned}
    why = {run.num: ", ".join(r.code for r in run.reasons) for c in found.configurations for run in c.validity.runs}
    each = []
    for one in read_sweep(folder).runs:
        span = one.run.window_s.span
        if span is None or one.run.num not in why:
            continue
        end = (folder / places[one.run.num] / "client.json").stat().st_mtime  # it is written when the load has ended
        each.append((one.run.workers or 0, touched((end - (span[1] - span[0]), end), busy), why[one.run.num]))
    return each


def detected(each: Sequence[tuple[int, float, str]]) -> None:
    """How many of those the neighbour touched were found, and how many of the others were accused."""
    for what, all_cpus in (("runs that use all CPUs", True), ("runs that leave it a CPU", False)):
        some = [(share, why) for workers, share, why in each if (workers > 1) == all_cpus]
        much = [bool(why) for share, why in some if share > MUCH]
        none = [why for share, why in some if share == 0]
        accused = Counter(why for why in none if why)
        print(
            f"{what}: of {len(much)} beside which the neighbour was busy for more than a tenth of their time "
            f"{sum(much)} are INVALID; of {len(none)} beside which it never was {sum(accused.values())} "
            f"{dict(accused) or ''}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--neighbour", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=1, help="of the first sweep's neighbour")
    parser.add_argument("--simulated", type=int, metavar="N")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    if asked.simulated:
        noisy_simulated.told(asked.simulated)
        return
    said, rows, times, each = Counter[str](), [], [], []
    for number in range(asked.sweeps):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            told = Path(scratch) / "spells"
            with (
                neighbour(asked.seed + number if asked.neighbour else None, told),
                sweep("workers=1,2,3", *asked.overrides) as folder,
            ):
                times.append(time.monotonic() - begun)
                found = read_report(folder)
                each += runs(folder, told, found)
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
    detected(each)


if __name__ == "__main__":
    main()
