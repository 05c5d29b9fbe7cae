"""What a plant is: a sweep whose truth is known beforehand, and what its report then has to say. Pure.

A truth is a number, or is made of what the equipment says that it did (`Account`) and of what a configuration without
the plant needs (the blank).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from capsexp.results.report import Configuration, Estimate, Report

Account: TypeAlias = Mapping[str, float]  # what equipment says that it did: seconds, by name
Truth: TypeAlias = Callable[[Report, Account], "float | None"]  # None: nobody knows it, so nothing was planted

EMPTY = Configuration(key="")


@dataclass(frozen=True)
class Figure:
    """A metric `tag` of the configuration `key` has to be `planted`, in `unit`. `why`: what makes it so; `relative` and
    `absolute`: what it may be off, as a share of what was planted and in its unit, for what any server costs; `n`: of
    how many trials, pairs or requests it has to be made; `beyond`: the configuration that has all but the plant, whose
    figure is taken off; `least`: the report may say more, as others may have added to it; `read`: where it stands, if
    it is no metric."""

    what: str
    planted: float | Truth
    why: str
    tag: str = ""
    key: str = ""
    unit: str = ""
    relative: float = 0.05
    absolute: float = 0.0
    n: int | None = None
    beyond: str | None = None
    least: bool | Callable[[Report], bool] = False
    read: Callable[[Report, Account], Estimate] | None = None


@dataclass(frozen=True)
class Named:
    """These names, and no others, stand in the report."""

    what: str
    planted: tuple[str, ...]
    why: str
    read: Callable[[Report], Sequence[str]]


Expected = Figure | Named


@dataclass(frozen=True)
class Plant:
    """`about`: what is planted; `doubt`: what a user must not rely on where it is not recovered; `overrides`: of the
    sweep; `clips_s`: how long its clips of noise are, clip00.wav first; `runs`: that the sweep makes; `beside`: a
    module of `equipment` that works beside the sweep; `lacks`: why it cannot be planted on this system, else None."""

    name: str
    about: str
    doubt: str
    overrides: tuple[str, ...]
    clips_s: tuple[float, ...]
    runs: int
    expected: tuple[Expected, ...]
    beside: str | None = None
    lacks: Callable[[], str | None] = lambda: None


def configuration(report: Report, key: str) -> Configuration:
    """Empty where it is not there."""
    return next((c for c in report.configurations if c.key == key), EMPTY)


def percentile(values: Sequence[float], percent: float) -> float:
    """Between the two nearest on a line, as a report has it."""
    return float(np.percentile(values, percent))
