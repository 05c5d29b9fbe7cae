"""What a sweep adds to the runs that were planned: disturbed ones again, and the further trials of trials=auto."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capsexp.analysis import trials
from capsexp.analysis.capacity_search import BUDGET
from capsexp.counts import counted
from capsexp.experiment import probing
from capsexp.experiment.sweep import PlannedSweep
from capsexp.files import note
from capsexp.results.report import Open, Report
from capsexp.results.run import Run

Wanted = list[tuple[str, int]]  # (key, trial)


def foretold(sweep: PlannedSweep) -> str:
    """What trials=auto may add, as the end of the line that says how many runs there are."""
    if sweep.search is not None:
        limit_s = sweep.search["budget_s"]
        within = "" if limit_s is None else f" within {limit_s:g} s (search.budget_s)"
        return f"; then further values of {sweep.search['over']}, until the most that keeps the SLO is known{within}"
    config = sweep.config
    racing = config.search.name == "race"
    race = "; then further rounds of the configurations that may still be the best (search=race)" if racing else ""
    if config.trials != "auto":
        return race
    budget_s = config.report.budget_s
    within = "" if budget_s is None else f" within {budget_s:g} s (report.budget_s)"
    return f"{race}; then trials that can change an answer, up to {config.trials_max} of each (trials_max){within}"


def _said(open_: Sequence[Open]) -> Iterator[str]:
    """A line for each question; one for all that are still in a race."""
    racing = [one.key for one in open_ if one.race]
    if racing:
        yield f"{counted(len(racing), 'configuration')} may still be the best: {', '.join(racing)}"
    yield from (f"{one.key} is open: {one.why}" for one in open_ if not one.race)


class Further:
    """Decides which runs follow the planned ones: call `runs` after these, and after each run that it added. `took_s`:
    seconds of the last run of each configuration by key, kept up to date by the caller. `stopped`: the setting of the
    time budget that ended it, else None; `since`: the Unix time from which the budget counts."""

    def __init__(self, sweep: PlannedSweep) -> None:
        self.took_s: dict[str, float] = {}
        self.stopped: str | None = None
        self._sweep = sweep
        self.since: float | None = None
        self._begun: float | None = None
        if sweep.search is not None:  # the first run of each counts too
            self._begin()
        self._fruitless = 0
        self._repeated: tuple[str, int] | None = None

    def took(self, made: Sequence[Run]) -> None:
        """Of configurations that this command has not run, what an earlier one's runs took."""
        for one in made:
            phases = one.phases_s.get
            self.took_s.setdefault(one.key, phases("reference", 0.0) + phases("total", 0.0))

    def runs(self, report: Report) -> Wanted:
        """What is to be run next, all of one trial; nothing where the sweep is done."""
        if not any(one.race for one in report.trials.open):  # its rounds are what is planned
            self._begin()
        if self._sweep.search is not None:
            return self._probes(report, self._sweep.search)
        most, repeated = self._sweep.config.trials_max, self._repeated
        if repeated:
            again = trials.repeats(report.configurations, sys.maxsize)
            self._fruitless = self._fruitless + 1 if repeated in again else 0
        disturbed = trials.repeats(report.configurations, most)[:1] if self._fruitless < trials.FRUITLESS else []
        wanted = disturbed or trials.further(report.configurations, report.trials.open, most)
        if wanted and not self._in_time(wanted):
            self.stopped = trials.BUDGET
            return []
        self._repeated = disturbed[0] if disturbed else None
        if disturbed:
            key, trial = disturbed[0]
            runs = [run for c in report.configurations if c.key == key for run in c.validity.runs if run.trial == trial]
            reasons = [reason for run in runs for reason in run.reasons]
            why = reasons[-1].reason if reasons else "disturbed"
            note(f"{key}, trial {trial} is repeated, as no run of it counts: {why}")
        elif wanted:
            for line in _said(report.trials.open):
                note(f"trial {wanted[0][1]}, as {line}")
        return wanted

    def _begin(self) -> None:
        if self._begun is None:
            self._begun, self.since = time.monotonic(), time.time()

    def _spent_s(self) -> float:
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def _probes(self, report: Report, search: Mapping[str, Any]) -> Wanted:
        """The load to try next, of the configuration of which the fewest were tried: in turns, as trials are."""
        open_ = [one for one in report.capacity if one.next is not None]
        if not open_:
            return []
        one = min(open_, key=lambda one: sum(probe.runs for probe in one.probes))
        assert one.next is not None
        key = probing.key(one.name, one.next, one.over)
        budget_s = search["budget_s"]
        if budget_s is not None and self._spent_s() > budget_s:
            self.stopped = BUDGET
            return []
        high = f"less than {one.infeasible_min:g}" if one.infeasible_min is not None else "no bound yet"
        note(f"{one.key}: {one.over} is at least {one.feasible_max or 0:g}, {high}; next {one.next:g}")
        return [(key, one.trial)]

    def _in_time(self, wanted: Wanted) -> bool:
        """Whether they can be run within report.budget_s, each taking what the last one of its configuration took."""
        budget_s = self._sweep.config.report.budget_s
        if self._begun is None or self._sweep.config.trials != "auto" or budget_s is None:
            return True
        return bool(self._spent_s() + sum(self.took_s.get(key, 0.0) for key, _ in wanted) <= budget_s)
