"""Requests that arrive whether or not those before them are done: an open load."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import ClassVar

from capsexp.errors import ConfigError
from capsexp.load.base import Clip, Given, LoadConfig, Plan, Sized, Turn, unbound
from capsexp.setting import setting

LEAST_S = 10.0  # of a run of a search


@dataclass
class Open(LoadConfig):
    """What open loads share."""

    counted: ClassVar[bool] = False
    measures: ClassVar[frozenset[str]] = frozenset({"process", "cv", "unit"})

    concurrency: int = unbound("with load=rate and stages requests begin when they arrive")
    process: str = setting(
        "poisson", "poisson: at random; constant: evenly; gamma: as cv says", choices=("constant", "poisson", "gamma")
    )
    cv: float = setting(
        1.0,
        "standard deviation / mean of the times between arrivals, with process=gamma: below 1 regular, above 1 in "
        "bursts",
        low=0.01,
        high=100,
    )
    unit: str = setting(
        "requests",
        "unit of rates: requests per second, or rtfx: seconds of audio per second",
        choices=("requests", "rtfx"),
    )

    def gaps(self, per_s: float, chance: random.Random) -> Iterator[float]:
        """Seconds from one arrival to the next, without an end. The first is drawn as the others are."""
        mean, shape = 1 / per_s, self.cv**-2
        while True:
            if self.process == "constant":
                yield mean
            elif self.process == "poisson":
                yield chance.expovariate(per_s)
            else:
                yield chance.gammavariate(shape, mean / shape)

    def per_s(self, rate: float, clips: tuple[Clip, ...]) -> float:
        """Requests per second."""
        if self.unit == "requests":
            return rate
        audio = sum(clip.duration_s for clip in clips)
        if not audio:
            raise ConfigError("load.unit: samples without audio make no rtfx; use load.unit=requests")
        return rate * len(clips) / audio

    def arrivals(self, rate: float, seconds: float, given: Given, *of: object) -> Iterator[float]:
        """Times of arrival within so many seconds; `of`: whose stream of chances."""
        gaps = self.gaps(self.per_s(rate, given.clips), given.seeds.arrival(*of))
        return takewhile(lambda at: at < seconds, accumulate(gaps))

    def planned(self, arrivals: Iterator[tuple[float, int | None]], given: Given) -> Plan:
        """A turn for each time and step; everybody who arrives is another user."""
        order = given.seeds.cycle(len(given.clips))
        each = enumerate(zip(arrivals, order, strict=False))
        turns = tuple(Turn(clip, user, at, step=step, pacing=self.pacing) for user, ((at, step), clip) in each)
        if not turns:
            raise ConfigError(f"load={self.name}: nothing arrives in that time; raise the rate or the duration")
        return turns


@dataclass
class Settings(Open):
    """Requests arrive, whether or not those before them are done."""

    measures: ClassVar[frozenset[str]] = Open.measures | {"rate", "duration_s"}
    length: ClassVar[str | None] = "duration_s"

    name: str = "rate"
    rate: float = setting(1.0, "rate of arrivals, in `unit`", above=True, high=1e5)
    duration_s: float = setting(60.0, "s during which requests begin", above=True, high=1e6)

    @property
    def size(self) -> str | None:
        return "rate" if self.unit == "requests" else None

    def spread_s(self, text: str = "") -> float:
        return self.duration_s

    def sized(self, size: float, requests: int) -> Sized:
        lasts = max(LEAST_S, requests / size)
        values = {"rate": size, "duration_s": lasts, "timeout": max(self.timeout, 4 * lasts)}
        return Sized(values, round(lasts * size))  # each of another user, whose only one counts

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.duration_s >= self.timeout:
            yield f"load.duration_s: {self.duration_s:g} s is no less than load.timeout={self.timeout:g}; raise that"


def plan(config: Settings, given: Given) -> Plan:
    return config.planned(((at, None) for at in config.arrivals(config.rate, config.duration_s, given)), given)
