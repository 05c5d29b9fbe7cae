"""Load: when requests begin (arrivals, a file each) and how fast their audio is sent (pacing). Pure: times are values.

A load says who asks for what and when, before anything is sent: users, each with turns one after another. The client
has the clock.
"""

from collections import defaultdict
from collections.abc import Sequence

from capsexp.load.base import Clip, Given, LoadConfig, LoadKind, Plan, Turn
from capsexp.load.pacing import REALTIME
from capsexp.plugins import Configured

__all__ = ["LOADS", "Clip", "Given", "LoadConfig", "LoadKind", "Plan", "Turn", "plan", "shortest_s"]

LOADS: Configured[LoadKind, LoadConfig] = Configured(
    "load", "capsexp.load.arrivals", "capsexp.loads", ("Settings", "plan"), base=LoadConfig
)


def plan(config: LoadConfig, given: Given) -> Plan:
    """What a load comes to; raises ConfigError where it cannot be made of these clips."""
    return LOADS.get(config.name).plan(config, given)


def shortest_s(plan: Plan, clips: Sequence[Clip]) -> float:
    """Seconds that a load takes at least, were every answer immediate: the waiting and speaking of its busiest user, or
    where only so many requests of a class are under way at once, all of its speaking shared out among these."""
    each, shared = defaultdict[tuple[str, int], float](float), defaultdict[str, float](float)
    for turn in plan:
        spoken_s = clips[turn.clip].duration_s if turn.pacing == REALTIME else 0.0
        each[turn.kind, turn.user] += (turn.wait_s or 0.0) + spoken_s
        shared[turn.kind] += spoken_s / turn.places if turn.places else 0.0
    return max([*each.values(), *shared.values()], default=0.0)
