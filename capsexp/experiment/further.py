"""What a sweep adds to the runs that were planned: disturbed ones again, and the further trials of trials=auto."""

from __future__ import annotations

import sys
import time

from capsexp.analysis import trials
from capsexp.experiment.sweep import PlannedSweep
from capsexp.files import note
from capsexp.results.report import Report

Wanted = list[tuple[str, int]]  # (key, trial)


def foretold(sweep: PlannedSweep) -> str:
    """What trials=auto may add, as the end of the line that says how many runs there are."""
    config = sweep.config
    if config.trials != "auto":
        return ""
    budget_s = config.report.budget_s
    within = "" if budget_s is None else f" within {budget_s:g} s (report.budget_s)"
    return f"; then trials that can change an answer, up to {config.trials_max} of each (trials_max){within}"


class Further:
    """Asked after the planned runs, and after each that it asked for. `took_s` is told what the last run of each
    configuration took; `stopped`: the setting that ended it, where that was the time."""

    def __init__(self, sweep: PlannedSweep) -> None:
        self.took_s: dict[str, float] = {}
        self.stopped: str | None = None
        self._sweep = sweep
        self._begun: float | None = None
        self._fruitless = 0
        self._repeated: tuple[str, int] | None = None

    def runs(self, report: Report) -> Wanted:
        """What is to be run next, all of one trial; nothing where the sweep is done."""
        self._begun = time.monotonic() if self._begun is None else self._begun
        most, repeated = self._sweep.config.trials_max, self._repeated
        if repeated:
            again = trials.repeats(report.configurations, sys.maxsize)
            self._fruitless = self._fruitless + 1 if repeated in again else 0
        disturbed = trials.repeats(report.configurations, most)[:1] if self._fruitless < trials.FRUITLESS else []
        wanted = disturbed or trials.further(report.configurations, report.trials.open, most)
        if wanted and not self._in_time(wanted, time.monotonic() - self._begun):
            self.stopped = trials.BUDGET
            return []
        self._repeated = disturbed[0] if disturbed else None
        if disturbed:
            note(f"{disturbed[0][0]}, trial {disturbed[0][1]} was disturbed and is repeated")
        elif wanted:
            for one in report.trials.open:
                note(f"trial {wanted[0][1]}, as {one.key} is open: {one.why}")
        return wanted

    def _in_time(self, wanted: Wanted, spent_s: float) -> bool:
        """Whether they can be run within report.budget_s, each taking what the last one of its configuration took."""
        budget_s = self._sweep.config.report.budget_s
        if self._sweep.config.trials != "auto" or budget_s is None:
            return True
        return bool(spent_s + sum(self.took_s.get(key, 0.0) for key, _ in wanted) <= budget_s)
