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
    """`keys`: segments in the order in which a server gets them. `rounds`: how many rounds of all segments they amount
    to, weighted by the time that each takes; a fraction where only the first ones are in it."""

    keys: tuple[Key, ...]
    rounds: float


def part(order: Sequence[Key], each_s: Mapping[Key, float], round_s: float, processes: int) -> Part:
    """The segments to be timed: as many whole rounds as take about PART_S; where one takes 1.5 x PART_S or more, its
    first segments up to PART_S. There is one for each process at least. `each_s`: seconds that each segment took one
    process; `round_s`: seconds that `processes` of them take for a round."""
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
    """What is known of a process count. `known`: timed in the sweep; `here`: in this trial. `took_s`: seconds that
    timing it took so far; `next_s`: about how many it will take again."""

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
