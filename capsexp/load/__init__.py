"""Load: when requests begin (arrivals, a file each) and how fast their audio is sent (pacing). Pure: times are values.

A load says who asks for what and when, before anything is sent: users, each with turns one after another. The client
has the clock.
"""

from capsexp.load.base import Clip, Given, LoadConfig, LoadKind, Plan, Turn
from capsexp.plugins import Configured

__all__ = ["LOADS", "Clip", "Given", "LoadConfig", "LoadKind", "Plan", "Turn", "plan"]

LOADS: Configured[LoadKind, LoadConfig] = Configured(
    "load", "capsexp.load.arrivals", "capsexp.loads", ("Settings", "plan"), base=LoadConfig
)


def plan(config: LoadConfig, given: Given) -> Plan:
    """What a load comes to; raises ConfigError where it cannot be made of these clips."""
    return LOADS.get(config.name).plan(config, given)
