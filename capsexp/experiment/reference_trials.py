"""Before which runs of a sweep plain processes are timed: once in each trial, as far as the time for it goes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from capsexp.config import worker_count
from capsexp.experiment import reference
from capsexp.experiment.record import RunRecord
from capsexp.experiment.reference_part import PART_S, START_S, Before, due
from capsexp.experiment.sweep import PlannedSweep
from capsexp.live.eta import BESIDE_S
from capsexp.results.read import read_facts, read_reference
from capsexp.results.run import Reference, Run


class ReferenceTrials:
    """Call `due` before each run of a sweep. Earlier timings, also from before a resume, are read from the
    sweep's folder."""

    def __init__(self, sweep: PlannedSweep, folder: Path) -> None:
        self._sweep, self._folder = sweep, folder
        self._digests: dict[int, str] = {}

    def due(self, run: RunRecord) -> tuple[int, ...]:
        """How many plain processes are to be timed right before it: as many as it has workers, and those that are asked
        for and that no run has."""
        config, sweep = run.config, self._sweep
        if config.reference.name != "engine" or run.reference is None:
            return ()
        # By what the sweep planned: a run that another node makes has that node in the name of its reference.
        alike = [p for p in sweep.planned if self._digest(p.num) == self._digest(run.num)]
        of_others = {worker_count(p.config.workers) for p in alike}
        wanted = [n for n in reference.counts(config, sweep.worker_counts) if n == run.workers or n not in of_others]
        trial = config.trial
        earlier = [p.num for p in alike if p.trial == trial and p.key == run.key and p.num < run.num]
        texts = read_reference(self._folder / "reference" / run.reference / "reference.json")
        made = self._made(run)
        # A repetition comes later than its trial, whose reference it has no part in.
        here = [one for one in made if one.trial == trial and one.num > max(earlier, default=-1)]
        so_far = [p for p in alike if p.num <= run.num or p.trial <= trial]
        expected = (sweep.expected.get(p.key, config.load.min_s) + BESIDE_S for p in so_far)
        before = {n: _before(n, texts, made, here) for n in wanted}
        # A load that lasts as long as it says tells nothing of speed, and a search asks something else.
        once = config.load.timed or sweep.search is not None
        return due(wanted, before, sum(expected), 0.0 if once else config.reference.share)

    def _digest(self, num: int) -> str:
        if num not in self._digests:
            config = next(p.config for p in self._sweep.planned if p.num == num)
            self._digests[num] = reference.digest(config)
        return self._digests[num]

    def _made(self, run: RunRecord) -> list[Run]:
        """The sweep's other runs with the same reference before which processes were timed."""
        found = []
        for planned in self._sweep.planned:
            if planned.num != run.num:
                with suppress(OSError, ValueError):
                    found.append(read_facts(self._folder / planned.dir))
        return [one for one in found if one.reference == run.reference and one.reference_runs]


def _before(count: int, texts: Reference, made: list[Run], here: list[Run]) -> Before:
    def counts(one: Run) -> list[int]:
        return [timed.processes for timed in one.reference_runs]

    of_it = [one for one in made if count in counts(one)]
    took = [one.phases_s.get("reference", 0.0) / len(one.reference_runs) for one in of_it]
    load_s = texts.runs[0].load_s if texts.runs else None
    return Before(
        known=bool(of_it) or count in [one.processes for one in texts.runs],
        here=any(count in counts(one) for one in here),
        took_s=sum(took),
        next_s=sum(took) / len(took) if took else (load_s or 0.0) + PART_S + START_S,
    )
