"""Does the answer hold beside a neighbour? Default sweeps of workers=1,2,3, one after the other, while another process
takes one CPU for spells of 2 to 10 s, 30 % of the time (see neighbour.py); and without it. Are disturbed runs found,
and others not accused? Words after the options are overrides; `--keep FILE`: a campaign that goes on where it ended;
`--simulated N`: N sweeps in simulated time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
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


class Beside(msgspec.Struct, frozen=True):
    """A run that ended well: the share of its load in which the neighbour was busy, and the codes of what it was found
    to be disturbed by."""

    workers: int
    share: float
    why: str


class Seen(msgspec.Struct, frozen=True):
    """A sweep: what it was (`seed` of its neighbour, `asked`: the overrides), and what its report said."""

    seed: int
    neighbour: bool
    asked: tuple[str, ...]
    verdict: str
    chosen: str
    workers: int | None
    decided: bool
    settled: bool
    trials: tuple[int, ...]
    invalid: int
    took_s: float
    stopped: str
    against: tuple[str, ...]
    runs: tuple[Beside, ...]


def make(seed: int, beside: bool, asked: Sequence[str]) -> Seen:
    """One sweep."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "spells"
        with neighbour(seed if beside else None, told), sweep("workers=1,2,3", *asked) as folder:
            took_s, found = time.monotonic() - begun, read_report(folder)
            runs = tuple(_beside(folder, told, found))
    chosen = found.recommendation
    return Seen(
        seed, beside, tuple(asked), found.verdict, chosen.key if chosen else "-", chosen.workers if chosen else None,
        bool(chosen and chosen.decided), settled(found), tuple(c.trials for c in found.configurations),
        sum(c.validity.invalid for c in found.configurations), took_s, str(found.trials.stopped),
        tuple(contradictions(found)), runs,
    )  # fmt: skip


def _beside(folder: Path, told: Path, found: Report) -> Iterator[Beside]:
    busy = read(told)
    places = {run.num: run.dir for run in read_plan(folder).planned}
    why = {run.num: ", ".join(r.code for r in run.reasons) for c in found.configurations for run in c.validity.runs}
    for one in read_sweep(folder).runs:
        span = one.run.window_s.span
        if span is None or one.run.num not in why:
            continue
        end = (folder / places[one.run.num] / "client.json").stat().st_mtime  # it is written when the load has ended
        yield Beside(one.run.workers or 0, touched((end - (span[1] - span[0]), end), busy), why[one.run.num])


def detected(seen: Sequence[Seen]) -> None:
    """How many of those the neighbour touched were found, and how many of the others were accused."""
    runs = [run for one in seen for run in one.runs]
    for what, all_cpus in (("runs that use all CPUs", True), ("runs that leave it a CPU", False)):
        some = [run for run in runs if (run.workers > 1) == all_cpus]
        much = [bool(run.why) for run in some if run.share > MUCH]
        none = [run.why for run in some if run.share == 0]
        accused = Counter(why for why in none if why)
        print(
            f"{what}: of {len(much)} beside which the neighbour was busy for more than a tenth of their time "
            f"{sum(much)} are INVALID; of {len(none)} beside which it never was {sum(accused.values())} "
            f"{dict(accused) or ''}"
        )


def tell(seen: Sequence[Seen], beside: bool) -> None:
    heads = ("seed", "verdict", "recommended", "decided", "settled", "trials", "INVALID", "s", "contradictions")
    rows = [
        [
            one.seed, one.verdict, one.chosen, "yes" if one.decided else "no", "yes" if one.settled else "no",
            "/".join(map(str, one.trials)), one.invalid, f"{one.took_s:.0f}", "; ".join(one.against),
        ]
        for one in seen
    ]  # fmt: skip
    print(tabulate(rows, heads))
    counts = {
        "recommended 2": sum(one.workers == 2 for one in seen),
        "contradicted themselves": sum(bool(one.against) for one in seen),
        "settled": sum(one.settled for one in seen),
    }
    ends, times = ", ".join(f"{count} {what}" for what, count in counts.items()), [one.took_s for one in seen]
    print(
        f"{len(seen)} sweeps {'beside' if beside else 'without'} a neighbour: {ends}; "
        f"{min(times):.0f} to {max(times):.0f} s each"
    )
    detected(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--neighbour", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=1, help="of the first sweep's neighbour")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="sweeps are added there, and none is made twice")
    parser.add_argument("--simulated", type=int, metavar="N")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args()
    if asked.simulated:
        noisy_simulated.told(asked.simulated)
        return
    lines = asked.keep.read_bytes().splitlines() if asked.keep and asked.keep.is_file() else []
    kept = {
        (one.seed, one.neighbour, one.asked): one for one in (msgspec.json.decode(line, type=Seen) for line in lines)
    }
    seen = []
    for seed in range(asked.seed, asked.seed + asked.sweeps):
        one = kept.get((seed, asked.neighbour, tuple(asked.overrides)))
        if one is None:
            one = make(seed, asked.neighbour, asked.overrides)
            if asked.keep:
                with asked.keep.open("ab") as file:
                    file.write(msgspec.json.encode(one) + b"\n")
        seen.append(one)
        print(f"{one.seed}: {one.verdict} {one.chosen} {one.trials} {one.took_s:.0f} s; {one.stopped}", flush=True)
    tell(seen, asked.neighbour)


if __name__ == "__main__":
    main()
