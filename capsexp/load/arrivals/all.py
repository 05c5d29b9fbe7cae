"""Every sample `repeats` times, all at once or so many at a time."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.load.base import Given, LoadConfig, Plan, Turn


@dataclass
class Settings(LoadConfig):
    """All requests at once, each on a connection of its own; with repeats=auto, a set of samples at once."""

    name: str = "all"


def plan(config: LoadConfig, given: Given) -> Plan:
    """Each request is a user's own; where nobody has decided how often, every sample is sent once."""
    repeats = 1 if config.repeats == "auto" else int(config.repeats)
    count = len(given.clips)
    order = given.seeds.shuffled(count * repeats)
    bound = config.concurrency
    return tuple(Turn(place % count, user, pacing=config.pacing, places=bound) for user, place in enumerate(order))
