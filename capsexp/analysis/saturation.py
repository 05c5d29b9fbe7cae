"""How many users a server could serve who do not wait for its answers: where the lag of all of them begins to grow.
Pure.

N users who each speak every Z seconds ask for N / Z requests per second. A server gets at most X of them done in a
second, whoever waits for what: beyond N* = X Z every further user makes all wait longer (the asymptotic bounds of
operational analysis: Denning and Buzen, ACM Computing Surveys 10, 1978). X is seen where users who do wait keep the
server busy all the time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from statistics import fmean

from capsexp.analysis.latency import Experience

FEWEST = 20  # requests that were done while all users were there
BUSY = 1.1  # times N*: with as many users and more nobody doubts that the server was never idle


def carried(runs: Mapping[int, Sequence[Sequence[Experience]]]) -> tuple[float, bool] | None:
    """(N*, saturated), from `runs`: by number of users, the requests of each run. N* is the largest of any run;
    `saturated`: a run had at least BUSY x N* users, so that its server was never idle; otherwise N* is a lower bound.
    None where the runs were too short, or each user made one request only."""
    found = [(one, load) for load, each in runs.items() for run in each if (one := users_carried(run)) is not None]
    if not found:
        return None
    most = max(one for one, _ in found)
    return most, any(load >= BUSY * most for _, load in found)


def users_carried(run: Sequence[Experience]) -> float | None:
    """N* of one run: what was done while all users were there, times what a user takes to ask again."""
    by_user: dict[tuple[str | None, int], list[Experience]] = defaultdict(list)
    for one in sorted(run, key=lambda one: one.due_s):
        if isfinite(one.turnaround_s) and not one.censored and one.spoken:
            by_user[(one.kind, one.user)].append(one)
    several = [own for own in by_user.values() if len(own) > 1]
    if not several:
        return None
    # From the end of the first turn on the server is as busy as it gets; then the first user leaves.
    begin = max(_final(own[0]) for own in several)
    end = min(_final(own[-1]) for own in several)
    done = sum(begin < _final(one) <= end for own in several for one in own)
    if done < FEWEST:
        return None
    pauses = [b.due_s - _final(a) for own in several for a, b in pairwise(own)]
    spoken = fmean(one.duration_s for own in several for one in own)
    return done / (end - begin) * (spoken + fmean(pauses))


def _final(one: Experience) -> float:
    return one.due_s + one.turnaround_s
