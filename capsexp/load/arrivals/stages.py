"""A ramp: an open load whose rate changes from step to step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from capsexp.load.arrivals.rate import Open
from capsexp.load.base import Given, Plan
from capsexp.setting import setting


@dataclass
class Settings(Open):
    """A ramp: arrivals at one rate after another."""

    measures: ClassVar[frozenset[str]] = Open.measures | {"rates", "step_s"}
    length: ClassVar[str | None] = "step_s"

    name: str = "stages"
    rates: list[float] = setting([1.0, 2.0, 4.0], "rate of each step, in `unit`", high=1e5, above=True)
    step_s: float = setting(30.0, "duration of each step, s", above=True, high=1e6)

    def spread_s(self, text: str = "") -> float:
        return self.step_s * len(self.rates)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.rates:
            yield "load.rates: give the rate of each step, as [1,2,4]"
        if (whole := self.step_s * len(self.rates)) >= self.timeout:
            yield f"load.step_s: all steps take {whole:g} s, no less than load.timeout={self.timeout:g}; raise that"


def plan(config: Settings, given: Given) -> Plan:
    """Each step draws from a stream of its own: another rate before it changes none of its times."""
    return config.planned(
        (
            (number * config.step_s + at, number + 1)
            for number, rate in enumerate(config.rates)
            for at in config.arrivals(rate, config.step_s, given, number)
        ),
        given,
    )
