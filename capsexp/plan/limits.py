"""What becomes of the limits on waits, in a simulation: of the time in which the load is what it is to be. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from capsexp.load import LoadConfig
from capsexp.load.pacing import REALTIME
from capsexp.simulation import Outcome, Simulated

LATE_SHARE = "late_share"


def limits_known(load: LoadConfig) -> tuple[str, ...]:
    """Which limits can be simulated for a load."""
    names = ("stop_to_text", "turnaround") if load.pacing == REALTIME else ("turnaround",)
    return (*(f"{name}_{stat}_s" for name in names for stat in ("p50", "p90", "p95", "p99")), LATE_SHARE)


def steady(outcome: Outcome, of_users: bool) -> list[Simulated]:
    """The requests of the time in which the load is what it is to be: after everybody's first one, and before the first
    user has had all turns; of arrivals all but the first twentieth."""
    if not of_users:
        return list(outcome.requests[len(outcome.requests) // 20 :])
    last = max(one.turn for one in outcome.requests)
    until = min(one.due_s for one in outcome.requests if one.turn == last)
    return [one for one in outcome.requests if one.turn and one.due_s <= until]


def value_of(name: str, requests: Sequence[Simulated]) -> float:
    """Of what is limited, as the report defines it: waits for texts, and the share of those that came later after
    their end than they last."""
    if name == LATE_SHARE:
        return fmean(_after_stop(one) > one.duration_s for one in requests)
    what, stat = name.removesuffix("_s").rsplit("_", 1)
    waits = [_after_stop(one) if what == "stop_to_text" else _after_due(one) for one in requests]
    return float(np.percentile(waits, int(stat[1:])))


def _after_stop(one: Simulated) -> float:
    return (math.inf if one.final_s is None else one.final_s) - (one.due_s if one.stop_s is None else one.stop_s)


def _after_due(one: Simulated) -> float:
    return (math.inf if one.final_s is None else one.final_s) - one.due_s


def worst(requests: Sequence[Simulated], near: tuple[float, float]) -> float:
    """The longest stop-to-text in seconds, of requests due between the two times."""
    return max((_after_stop(one) for one in requests if near[0] <= one.due_s <= near[1]), default=0.0)


def audio_per_user(outcome: Outcome) -> float:
    """Seconds of audio per second that a user makes."""
    last = max(one.turn for one in outcome.requests)
    cycle = fmean(one.due_s for one in outcome.requests if one.turn == last)
    cycle = (cycle - fmean(one.due_s for one in outcome.requests if not one.turn)) / last
    return fmean(one.duration_s for one in outcome.requests) / cycle
