"""How long a sweep will still take, from what it took so far. Pure.

A run is foretold by those of its own configuration that have ended; else by what its load was expected to take, going
by the reference, times what others took of theirs; else by all others. The run at work is foretold more and more by
how far its load is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from statistics import median

# Until they have been seen, in seconds:
BESIDE_S = 4.0  # what a run takes beside its load: processes, models, the end
AFTER_S = 1.0  # of that after the load, at least
BETWEEN_S = 2.0  # from the end of a run to the beginning of the next
LEAST_SHARE = 0.02  # of a load that is done, before it says anything


@dataclass(frozen=True)
class Ended:
    """A run that has ended: `took_s` in all, of which `load_s` was its load (None: it came to none)."""

    key: str
    took_s: float
    load_s: float | None = None


@dataclass(frozen=True)
class Ahead:
    """A run to come; `expected_s`: what its load takes, going by the reference, where that is known. `gap_s`: from the
    end of the run before to its beginning, where such a gap has been seen."""

    key: str
    expected_s: float | None = None
    gap_s: float | None = None


@dataclass(frozen=True)
class AtWork:
    """The run at work: seconds since it began, and since its load did; `share` of it is done. `over`: all of it is."""

    run: Ahead
    elapsed_s: float
    load_s: float | None = None
    share: float | None = None
    over: bool = False

    @property
    def before_s(self) -> float:
        """From its beginning to that of its load, as far as it has come."""
        return max(0.0, self.elapsed_s - (self.load_s or 0.0))


@dataclass(frozen=True)
class Left:
    """Seconds to come; None where nothing tells. `now_s`: of the run at work."""

    now_s: float | None
    sweep_s: float | None


def left(ended: Sequence[Ended], now: AtWork | None, ahead: Sequence[Ahead]) -> Left:
    """Of the run at work, and of all that are to come."""
    past = Past(ended, now, ahead)
    own = None if now is None else _of(now, past)
    each = [past.whole_s(run) for run in ahead]
    if (now is not None and own is None) or None in each:
        return Left(own, None)
    gaps = [BETWEEN_S if run.gap_s is None else run.gap_s for run in ahead]
    return Left(own, (own or 0.0) + sum(gaps) + sum(one for one in each if one is not None))


class Past:
    """What runs took so far, and what that says of others."""

    def __init__(self, ended: Sequence[Ended], now: AtWork | None, ahead: Sequence[Ahead]) -> None:
        self._ended = [one for one in ended if one.load_s is not None] or list(ended)
        expected = {run.key: run.expected_s for run in (*ahead, *([now.run] if now else []))}
        loads = [(one.load_s, expected.get(one.key)) for one in ended if one.load_s is not None]
        ratios = [load_s / wanted for load_s, wanted in loads if wanted]
        self._ratio = median(ratios) if ratios else 1.0
        self._first_s = max(BESIDE_S, now.before_s + AFTER_S) if now is not None else BESIDE_S

    def load_s(self, run: Ahead) -> float | None:
        if own := [one.load_s for one in self._ended if one.key == run.key and one.load_s is not None]:
            return median(own)
        return None if run.expected_s is None else self._ratio * run.expected_s

    def beside_s(self, run: Ahead) -> float:
        """What it takes beside its load: as those of its own configuration, else as all."""
        seen = [(one.key, one.took_s - one.load_s) for one in self._ended if one.load_s is not None]
        own = [seconds for key, seconds in seen if key == run.key]
        every = own or [seconds for _, seconds in seen]
        return max(0.0, median(every)) if every else self._first_s

    def whole_s(self, run: Ahead) -> float | None:
        """From its beginning to its end."""
        load_s = self.load_s(run)
        if load_s is not None:
            return load_s + self.beside_s(run)
        return median([one.took_s for one in self._ended]) if self._ended else None


def _of(now: AtWork, past: Past) -> float | None:
    """What is left of the run at work: as it was foretold, and, the more of its load is done, as that goes."""
    after = max(AFTER_S, past.beside_s(now.run) - now.before_s)
    if now.over:
        return AFTER_S
    if now.load_s is None:
        whole = past.whole_s(now.run)
        return None if whole is None else max(0.0, whole - now.elapsed_s)
    told, share = past.load_s(now.run), min(1.0, now.share or 0.0)
    foretold = None if told is None else max(0.0, told - now.load_s)
    if share < LEAST_SHARE:
        return None if foretold is None else foretold + after
    goes = now.load_s * (1 - share) / share
    return after + (goes if foretold is None else (1 - share) * foretold + share * goes)


def spoken(seconds: float | None) -> str:
    """About how long, as it is said."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def further(most_s: float | None) -> str:
    """What may come after that, as the end of a line: seconds, infinite where nothing bounds them, None where nothing
    comes."""
    if not most_s:
        return ""
    return (
        "; then further runs, as many as it needs"
        if isinf(most_s)
        else f"; then up to {spoken(most_s)} of further runs"
    )
