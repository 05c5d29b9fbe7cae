"""CPU time that a run lost to others: its threads could run, and waited while other processes had the CPU. Pure.

The kernel counts it (run-queue delay). Between two ticks of the monitor, the part that the run's threads cause
each other, by wanting more CPU time than there is, is taken off; the rest counts as lost, but no more than others used.
Of the CPU time that the host of a virtual machine took (steal), the run's share of all use is added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from capsexp.results.rows import Row

Window = tuple[float, float]
FEWEST_TICKS = 3  # in a window, before anything is said
QUIET = 0.02  # share of what a run used that others may take without its being a spell
MOST = 0.9  # share of its time that a run is said to have lost


@dataclass(frozen=True)
class Spell:
    """`start_s` to `end_s` of a run, in which it lost `lost_s` CPU seconds."""

    start_s: float
    end_s: float
    lost_s: float


@dataclass(frozen=True)
class Interference:
    """`lost_s`: CPU seconds in all; `slower`: by how much, as a share, that made the run's time longer; `spells`: when,
    the worst first."""

    lost_s: float
    slower: float
    spells: tuple[Spell, ...]


def measure(
    monitor: Sequence[Row], window: Window, cpus: float, threads: int | None, pinned: int | None = None
) -> Interference | None:
    """Of the load between `window`'s two times, on `cpus`; `threads`: those that recognize, None where nobody knows;
    `pinned`: CPUs that all workers together are pinned to, None where they are not. None where the system does not
    tell."""
    ticks = list(_ticks(monitor, window, cpus, pinned))
    if len(ticks) < FEWEST_TICKS:
        return None
    lost = sum(spell.lost_s for spell, _ in ticks)
    seconds = sum(spell.end_s - spell.start_s for spell, _ in ticks)
    wanted = sum(wanted for _, wanted in ticks) / seconds
    if threads is not None:  # what waits for work loses nothing
        wanted = min(threads, wanted)
    used = min(max(1.0, wanted), cpus)
    share = min(MOST, lost / (used * seconds))
    spells = sorted(_joined([spell for spell, _ in ticks], used), key=lambda spell: -spell.lost_s)
    return Interference(lost, share / (1 - share), tuple(spells))


def _ticks(monitor: Sequence[Row], window: Window, cpus: float, pinned: int | None) -> Iterator[tuple[Spell, float]]:
    """Between each two looks: what was lost, and the CPU seconds that our threads wanted."""
    system = {r["time_s"]: r for r in monitor if r["role"] == "system" and r.get("busy_s") is not None}
    ours: dict[float, dict[Any, Row]] = defaultdict(dict)
    for row in monitor:
        if row["role"] != "system" and row.get("cpu_s") is not None:
            ours[row["time_s"]][row["pid"]] = row
    for start, end in pairwise(sorted(system)):
        before, after = ours[start], ours[end]
        told = any(row.get("runqueue_s") is not None for row in after.values())
        if start < window[0] or end > window[1] or not told:
            continue
        used, waited = (_grown(before, after, column) for column in ("cpu_s", "runqueue_s"))
        busy = system[end]["busy_s"] - system[start]["busy_s"]
        stolen = (system[end].get("steal_s") or 0.0) - (system[start].get("steal_s") or 0.0)
        among_us = max(0.0, used + waited - cpus * (end - start))
        if pinned is not None:  # the workers wait for each other, though other CPUs are free
            wanted = sum(_grown(_workers(before), _workers(after), column) for column in ("cpu_s", "runqueue_s"))
            among_us = max(among_us, wanted - pinned * (end - start))
        lost = min(max(0.0, waited - among_us), max(0.0, busy - used))
        lost += stolen * min(1.0, used / busy) if busy > 0 else 0.0
        yield Spell(start, end, lost), used + waited


def _workers(rows: Mapping[Any, Row]) -> dict[Any, Row]:
    return {pid: row for pid, row in rows.items() if row["role"] == "worker"}


def _grown(before: Mapping[Any, Row], after: Mapping[Any, Row], column: str) -> float:
    """How much a counter of all processes grew; one that was born meanwhile began at zero."""
    then = {pid: row.get(column) or 0.0 for pid, row in before.items()}
    return float(sum(max(0.0, (row.get(column) or 0.0) - then.get(pid, 0.0)) for pid, row in after.items()))


def _joined(ticks: Sequence[Spell], used: float) -> Iterator[Spell]:
    """Ticks in a row in which others took more than a little of the CPUs that the run `used`."""
    current: Spell | None = None
    for tick in ticks:
        if tick.lost_s <= QUIET * used * (tick.end_s - tick.start_s):
            continue
        if current is not None and current.end_s == tick.start_s:
            current = Spell(current.start_s, tick.end_s, current.lost_s + tick.lost_s)
            continue
        if current is not None:
            yield current
        current = tick
    if current is not None:
        yield current
