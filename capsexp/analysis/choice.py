"""Chooses the configuration to recommend. Pure.

Speeds within `tolerance` of the fastest are equal, and so are sizes within it of the smallest of those: one scale for
all, so that small differences do not add up from one configuration to the next. On it one configuration dominates
another when it is no slower and no bigger (in memory, workers and threads), and better in one of these; what is
dominated is never chosen. A configuration that is open only for want of trials takes part by its values: what is worse
is not chosen because it was easier to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from capsexp.analysis import gates, slo
from capsexp.analysis.statistics import Interval
from capsexp.results.report import Configuration
from capsexp.results.verdicts import SURE, Reading, Status, Verdict


@dataclass(frozen=True)
class Choice:
    """`chosen` of `candidates`, of which `fastest` is the fastest; `decided`: nothing that is open could be chosen
    instead; `passing`: what is chosen of those that pass; `unsure`: those that are open."""

    chosen: Configuration
    candidates: tuple[Configuration, ...]
    decided: bool
    passing: Configuration | None
    unsure: tuple[Configuration, ...]
    tolerance: float

    @property
    def fastest(self) -> Configuration:
        return max(self.candidates, key=speed)

    def dominating(self, one: Configuration) -> list[Configuration]:
        """The candidates that dominate `one`, which may be none of them, the best of them first."""
        enough = (1 - self.tolerance) * max(speed(self.fastest), speed(one))
        own, ranks = self._rank(one, enough), {c.key: self._rank(c, enough) for c in self.candidates}
        better = [c for c in self.candidates if ranks[c.key] != own and all(map(float.__le__, ranks[c.key], own))]
        return sorted(better, key=lambda c: (*ranks[c.key], c.key))

    def _rank(self, c: Configuration, enough: float) -> tuple[float, ...]:
        """What is the less, the better; from the speed `enough` on more is not better."""
        least = min((memory(other) for other in self.candidates if speed(other) >= enough), default=0.0)
        return -min(speed(c), enough), max((1 - self.tolerance) * memory(c), least), *map(float, _counts(c))


def choose(found: Sequence[Configuration], tolerance: float) -> Choice | None:
    """Of configurations that answer one question, without injected faults. None where each fails a limit, or all are
    INVALID.
    While nothing with more workers passes and something is open, values alone choose, and decide nothing."""
    found = [c for c in found if c.fault.kind == "none" and c.dropped is None]
    known = [c for c in found if speed(c) and c.workers and c.status == Status.OK and not failed(c)]
    sure = [c for c in known if c.verdict in SURE]
    blank = [c for c in found if c.verdict == Verdict.INVALID and c.status == Status.OK]  # nothing is known of it
    unsure = [c for c in known if c.verdict not in SURE]
    unsure += [c for c in blank if c not in unsure]
    wanting = [c for c in unsure if gates.wants_trials(c)]
    answered = bool(sure) and (any(c.adds_workers for c in sure) or not any(c.adds_workers for c in unsure))
    rest = wanting if answered else [c for c in known if c not in sure]
    candidates = sure + [c for c in rest if gates.keeps_all(c)]
    if not candidates or all(c.verdict == Verdict.INVALID for c in candidates):
        return None
    chosen = best(candidates, tolerance)
    passing = best(sure, tolerance) if sure else None
    decided = answered and not blank and chosen is passing
    decided = decided and all(best([*sure, c], tolerance) is chosen for c in wanting)
    return Choice(chosen, tuple(candidates), decided, passing, tuple(unsure), tolerance)


def failed(c: Configuration) -> list[str]:
    """The limits, of gates and of the SLO, that it does not keep."""
    return [*gates.said(c, Reading.FAIL), *slo.missed(c.slo)]


def best(candidates: Sequence[Configuration], tolerance: float) -> Configuration:
    """The smallest of those as fast as the fastest."""
    return smallest([c for c in candidates if speed(c) >= (1 - tolerance) * max(map(speed, candidates))], tolerance)


def smallest(fast: Sequence[Configuration], tolerance: float) -> Configuration:
    """Of equally fast ones, and of those of them as small as the smallest, the one with the fewest workers and
    threads, pinned only where that is the one choice."""
    small = [c for c in fast if (1 - tolerance) * memory(c) <= min(map(memory, fast))]
    return min(small, key=lambda c: (*_counts(c), c.placement != "none", -speed(c), c.key))


def preferred(choice: Choice, c: Configuration, gain: Callable[[str, str], Interval | None]) -> bool:
    """Whether what is chosen is to be preferred to `c`, whichever value within the interval of the `gain` in speed is
    the true one, and whatever the gates of `c` come to."""
    chosen, least = choice.chosen, 1 / (1 - choice.tolerance)
    if c.key == chosen.key or c.fault.kind != "none":
        return False
    if smallest([chosen, c], choice.tolerance) is chosen:
        known = gain(c.key, chosen.key)
        return known is not None and known[1] < least
    known = gain(chosen.key, c.key)
    return known is not None and known[0] > least


def speed(c: Configuration) -> float:
    """Hours of audio per hour (RTFx); 0 where nothing is known."""
    return c.value("throughput_rtfx") or 0.0


def memory(c: Configuration) -> float:
    """Peak in MB; infinite where nothing is known, so that it is never the smaller one."""
    peak = c.value("peak_memory_mb")
    return float("inf") if peak is None else float(peak)


def _counts(c: Configuration) -> tuple[int, int]:
    return c.workers or 1, c.threads or 1
