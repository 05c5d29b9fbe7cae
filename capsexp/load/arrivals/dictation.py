"""Users who dictate: each speaks a clip in real time, waits for the text, thinks, and speaks again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import ClassVar

from capsexp.errors import ConfigError
from capsexp.load.base import Given, LoadConfig, Plan, Sized, Turn, unbound
from capsexp.load.seeds import spread
from capsexp.setting import redefault, setting

FEWEST_TURNS = 4  # of a user beside the first, in a run of a search
TURN_S = 120.0  # s; no turn takes longer: for the time limit of a run


@dataclass
class Settings(LoadConfig):
    """Users who dictate: each speaks a clip in real time, waits for the text, thinks, and speaks again."""

    counted: ClassVar[bool] = False
    measures: ClassVar[frozenset[str]] = frozenset({"users", "turns", "think_s"})
    length: ClassVar[str | None] = "turns"

    name: str = "dictation"
    pacing: str = redefault(LoadConfig, "pacing", "realtime")
    concurrency: int = unbound("load=dictation has load.users")
    users: int = setting(4, "users who dictate at the same time", low=1, high=100_000)
    turns: int = setting(4, "turns of each user", low=1, high=100_000)
    # Drawn from an exponential distribution.
    think_s: float = setting(3.0, "average pause from the text to the next word, s", high=1e6)

    @property
    def size(self) -> str | None:
        return "users"

    def spread_s(self, text: str = "") -> float:
        return (self.turns - 1) * self.think_s

    def sized(self, size: float, requests: int) -> Sized:
        users, more = round(size), max(FEWEST_TURNS, ceil(requests / size))
        turns = 1 + more
        values = {"users": users, "turns": turns, "timeout": max(self.timeout, TURN_S * turns)}
        return Sized(values, users * more)


def plan(config: Settings, given: Given) -> Plan:
    """Users begin spread over the time that a turn takes. One more changes none of the others."""
    whole = sum(clip.duration_s for clip in given.clips) / max(1, len(given.clips)) + config.think_s
    phase = given.seeds.arrival().random()
    turns: list[Turn] = []
    for user in range(config.users):
        thought = given.seeds.thought(user)
        clips = islice(given.seeds.cycle(len(given.clips), user), config.turns)
        waits = [(spread(user) + phase) % 1 * whole]
        if config.think_s:
            waits += [thought.expovariate(1 / config.think_s) for _ in range(config.turns - 1)]
        else:
            waits += [0.0] * (config.turns - 1)
        # Where the order is as listed, all of them would say the same at the same time.
        own = [(clip + user) % len(given.clips) for clip in clips]
        least = sum(waits) + sum(given.clips[clip].duration_s for clip in own if config.pacing == "realtime")
        if least >= config.timeout:
            raise ConfigError(
                f"load.turns: {config.turns} turns take {least:.0f} s or more, no less than "
                f"load.timeout={config.timeout:g}; raise it, or take fewer"
            )
        turns += [Turn(clip, user, wait, pacing=config.pacing) for clip, wait in zip(own, waits, strict=True)]
    return tuple(turns)
