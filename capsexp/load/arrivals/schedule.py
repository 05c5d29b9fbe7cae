"""A recorded day: requests as a table says. A run's own requests.csv is such a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from capsexp.errors import ConfigError
from capsexp.load.base import Given, LoadConfig, Plan, Turn, unbound
from capsexp.plugins import nearest
from capsexp.setting import setting

MOST = 1_000_000  # requests


@dataclass
class Settings(LoadConfig):
    """A recorded day: a table says when which sample is due. A run's requests.csv is such a table."""

    counted: ClassVar[bool] = False
    measures: ClassVar[frozenset[str]] = frozenset({"speed"})
    reads: ClassVar[str | None] = "csv"

    name: str = "schedule"
    concurrency: int = unbound("with load=schedule requests begin when the table says")
    csv: str | None = setting(
        None, "CSV file with the columns due_s (from any origin) and sample; without sample, clips take turns"
    )
    speed: float = setting(1.0, "factor by which time is compressed; 2: half the time", above=True, high=1e4)

    def spread_s(self, text: str = "") -> float:
        due = [at for at, _ in _rows(self, text)]
        return (max(due) - min(due)) / self.speed if due else 0.0

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.csv is None:
            yield "load.csv: give the table, with the columns due_s and sample"


def plan(config: Settings, given: Given) -> Plan:
    rows = list(_rows(config, given.text))
    first = min((at for at, _ in rows), default=0.0)
    places = {clip.name: place for place, clip in enumerate(given.clips)}
    others = given.seeds.cycle(len(given.clips))
    turns = []
    for user, (at, sample) in enumerate(sorted(rows, key=lambda row: row[0])):
        if sample and sample not in places:
            raise ConfigError(f"load.csv: no sample is named {sample!r}{nearest(sample, places)}")
        place = places[sample] if sample else next(others)
        turns.append(Turn(place, user, (at - first) / config.speed, pacing=config.pacing))
    if not turns:
        raise ConfigError("load.csv: no row says when a request is due; it needs the columns due_s and sample")
    last = (max(at for at, _ in rows) - first) / config.speed
    if last >= config.timeout:
        raise ConfigError(
            f"load.csv: the last request is due after {last:g} s, no less than "
            f"load.timeout={config.timeout:g}; raise it, or load.speed"
        )
    return tuple(turns)


def _rows(config: Settings, text: str) -> Iterator[tuple[float, str]]:
    try:
        for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
            if line > MOST:
                raise ConfigError(f"load.csv: more than {MOST} requests")
            if said := _cell(row, "due_s"):
                yield _time(said, line), _cell(row, "sample")
    except csv.Error as error:
        raise ConfigError(f"load.csv: {error}") from None


def _cell(row: Mapping[str, str | None], column: str) -> str:
    return (row.get(column) or "").strip()


def _time(said: str, line: int) -> float:
    try:
        at = float(said)
    except ValueError:
        at = math.nan
    if not math.isfinite(at):
        raise ConfigError(f"load.csv: line {line}: due_s is {said!r}; give seconds")
    return at
