"""Which part of the load plain processes are timed with in each trial, and in which of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

PART_S = 2.5  # that it is to take
LEAST_S = 0.001  # for a segment, of which nobody would wait for thousands
START_S = 1.5  # from the start of processes to their first segment, beside the loading of models

Key = tuple[str, int]  # sample, segment


@dataclass(frozen=True)
class Part:
    """Segments in the order in which a server gets them; `rounds`: how often all of them are in it, by the time they
    take, so that a part of them stands for as much audio as takes as long."""

    keys: tuple[Key, ...]
    rounds: float


def part(order: Sequence[Key], each_s: Mapping[Key, float], round_s: float, processes: int) -> Part:
    """Whole rounds where the nearest number of them comes to about PART_S, as their audio is known; else the first
    segments of one. `each_s`: what each segment took alone; `round_s`: what so many processes take for all of them.
    No process is without a segment."""
    round_s = max(round_s, LEAST_S * len(order))
    rounds = max(1, round(PART_S / round_s), ceil(processes / len(order)))
    if rounds > 1 or round_s < 1.5 * PART_S:
        return Part(tuple(order) * rounds, rounds)
    whole = sum(each_s[key] for key in order)
    if whole <= 0:
        return Part(tuple(order), 1)
    taken, keys = 0.0, list[Key]()
    for key in order:
        if len(keys) >= processes and taken / whole * round_s >= PART_S:
            break
        keys.append(key)
        taken += each_s[key]
    return Part(tuple(keys), taken / whole)


@dataclass(frozen=True)
class Before:
    """What is known of a process count: whether the sweep has its speed at all and, of this trial, whether it is there;
    seconds that the reference took for it so far, and about that it will take again."""

    known: bool
    here: bool
    took_s: float
    next_s: float


def due(asked: Collection[int], before: Mapping[int, Before], runs_s: float, share: float | None) -> tuple[int, ...]:
    """The process counts to be timed before a run. `runs_s`: seconds that the runs of this trial and of those before it
    take; `share`: what a process count may take of them, None: any. What the sweep does not know is found out once,
    whatever it takes."""
    return tuple(
        count
        for count in sorted(asked)
        if not before[count].known
        or (not before[count].here and (share is None or before[count].took_s + before[count].next_s <= share * runs_s))
    )
