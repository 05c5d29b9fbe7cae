"""The declaration of a metric. Pure. `combine` defines how trials become one value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from capsexp.analysis.combine import Combined

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"


class Place(Enum):
    """Where a metric is shown, in the order of the list. All of them are in report.json, csv and prom."""

    TABLE = "a column of the table of configurations (markdown, html)"
    INTERVAL = "beside that column, its interval"
    TEXT = "a column of the narrow table (text)"
    FELT = "in the narrow table, where requests had a due time; only the last known metric of this place is shown"
    GLANCE = "at a glance, where no limit is set on it"
    REPLAY = "then and now, after a replay"


def shown(*places: Place) -> frozenset[Place]:
    return frozenset(places)


@dataclass(frozen=True)
class Gate:
    """How a limit is judged. `relative`: needs a baseline; `timed`: a disturbed run says nothing about it, but a wrong
    text stays wrong; `highest`: a maximum over trials, of which one over the limit decides; `logs`: a positive figure,
    compared on logarithms; `unknown`: why it has no value; `limit`: that is set by default."""

    relative: bool = False
    timed: bool = True
    highest: bool = False
    logs: bool = True
    unknown: str = "not measured"
    limit: float | None = None


@dataclass(frozen=True)
class Compared:
    """How a metric is used to compare two sweeps.

    `by_sample`: an error rate, as the difference over the samples that both have (of several error rates the first that
    is known counts, as all are of the same texts); otherwise a positive figure, as the ratio of its values in single
    trials. `untimed`: for loads that end sooner on a faster server; `timed`: for loads that set their own duration.
    `checked`: capsexp.check decides by it; otherwise only capsexp.compare shows it, since each further figure of a
    check widens the limits of all."""

    by_sample: bool = False
    untimed: bool = True
    timed: bool = True
    checked: bool = True


@dataclass(frozen=True)
class Metric:
    """`unit`: of the value; a share from 0 to 1 is shown in % where `percent` says so, and as a count of requests where
    `counted` does. `header`: of a column, with its unit; `zh`: its name in Chinese, without one. `plain`: what it says
    to who reads the page, in English and in Chinese. `gate`: None where no limit can be set on it."""

    tag: str
    unit: str
    better: str
    definition: str
    combined: Combined
    header: str
    zh: str
    digits: int = 2
    percent: bool = False
    counted: bool = False
    gate: Gate | None = None
    compared: Compared | None = None
    places: frozenset[Place] = frozenset()
    plain: tuple[str, str] | None = None

    @property
    def at_most(self) -> bool:
        """Whether a limit on it is the most that is allowed."""
        return self.better == LOWER

    @property
    def name(self) -> str:
        """In words, without its unit."""
        if self.tag in ("wer", "cer"):
            return self.tag.upper()
        for unit in ("_mb", "_s", "_rtfx"):
            if self.tag.endswith(unit):
                return self.tag.removesuffix(unit).replace("_", " ")
        return self.tag.replace("_", " ")

    @property
    def header_zh(self) -> str:
        unit = next((word for word in self.header.split() if word in (self.unit, "%")), "")
        return f"{self.zh} {unit}".rstrip()

    @property
    def chinese(self) -> dict[str, str]:
        """By the English: all words that the page shows of it."""
        return {self.header: self.header_zh, self.name: self.zh, **dict([self.plain] if self.plain else [])}
