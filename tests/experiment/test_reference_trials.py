"""Before which runs of a sweep plain processes are timed, by the files that are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from capsexp.config import Config
from capsexp.experiment import reference
from capsexp.experiment.record import RunRecord
from capsexp.experiment.reference_trials import ReferenceTrials
from capsexp.experiment.sweep import Planned, PlannedSweep
from capsexp.load import LOADS
from capsexp.results.run import Reference
from capsexp.results.write import write
from tests.support.values import a_run, processes


class Folder:
    """A sweep over workers=1,2 that times both, trial by trial; a run takes about 50 s. `node`: another machine, which
    makes its runs."""

    def __init__(self, path: Path, trials: int = 3, node: str = "", **settings: object) -> None:
        self.path = path
        kind = replace(Config().reference, name="engine", processes="sweep", **settings)
        planned = []
        for num in range(2 * trials):
            workers, trial = 1 + num % 2, 1 + num // 2
            config = replace(Config(), workers=workers, trial=trial, reference=kind)
            planned.append(
                Planned(num, f"{num}-workers={workers},trial={trial}", f"workers={workers}", trial, (), config)
            )
        self.sweep = PlannedSweep(planned[0].config, planned, path, True, expected={"workers=1": 46, "workers=2": 46})
        self.name = reference.digest(planned[0].config) + node
        (path / "reference" / self.name).mkdir(parents=True)
        texts = Reference(threads=1, texts={}, runs=(processes(1, 10.0),))
        write(path / "reference" / self.name / "reference.json", texts)

    def record(self, num: int) -> RunRecord:
        planned = self.sweep.planned[num]
        return RunRecord(
            num, planned.key, planned.config, planned.config.load, self.path / planned.dir, reference=self.name
        )

    def due(self, num: int) -> tuple[int, ...]:
        return ReferenceTrials(self.sweep, self.path).due(self.record(num))

    def make(self, num: int, *counts: int, took_s: float = 4.0) -> None:
        """A run, before which so many processes were timed."""
        planned = self.sweep.planned[num]
        planned_dir = self.path / planned.dir
        planned_dir.mkdir()
        timed = [{"processes": n, "makespan_s": 2.5, "audio_s": 25.0 * n} for n in counts]
        run = a_run(
            num=num, trial=planned.trial, key=planned.key, workers=planned.config.workers, reference=self.name,
            reference_runs=timed, phases_s={"reference": took_s * len(timed)},
        )  # fmt: skip
        write(planned_dir / "run.json", run)


@pytest.mark.parametrize("node", ["", "-of-another-machine"])
def test_each_trial_has_its_own_right_before_the_run_with_as_many_workers(node: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path, node=node)
    for num in range(6):
        assert folder.due(num) == (1 + num % 2,)
        folder.make(num, 1 + num % 2)
        assert folder.due(num) == (1 + num % 2,)  # made again in its place, it has it again


def test_a_sweep_that_is_resumed_goes_by_what_is_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make(0, 1, took_s=60.0)
    assert folder.due(2) == ()  # 60 s are more than a tenth of four runs
    assert folder.due(3) == (2,)


def test_it_takes_a_tenth_of_the_time_of_the_runs_at_most(tmp_path: Path) -> None:
    """Each 9 s, where a trial's two runs take 100 s; then each 15 s, so that every second trial has one."""
    for took_s, timed in ((9.0, [1, 2, 3, 4, 5, 6]), (15.0, [1, 3, 5, 6])):
        folder, found = Folder(tmp_path / f"{took_s}", trials=6), []
        for trial in range(1, 7):
            num = 2 * (trial - 1)
            counts = folder.due(num)
            folder.make(num, *counts, took_s=took_s)
            folder.make(num + 1)
            found += [trial] if counts else []
        assert found == timed


def test_without_a_bound_it_is_in_every_trial_and_with_none_of_the_time_once(tmp_path: Path) -> None:
    always, once = Folder(tmp_path / "a", share=None), Folder(tmp_path / "b", share=0.0)
    for folder in (always, once):
        folder.make(0, took_s=1000.0)
        folder.make(1, 2, took_s=1000.0)
    assert (always.due(2), always.due(3)) == ((1,), (2,))
    assert (once.due(0), once.due(2), once.due(3)) == ((), (), ())  # one process was timed with the texts


def test_a_repetition_comes_later_and_has_it_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for num in range(6):
        folder.make(num, 1 + num % 2)
    repeated = replace(folder.sweep.planned[1], num=6, dir="6-workers=2,trial=1")
    folder.sweep.planned.append(repeated)
    assert folder.due(6) == (2,)


def test_another_pool_of_the_same_trial_shares_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.make(0, 1)
    pool = replace(folder.sweep.planned[0].config.pool, name="prefork")
    config = replace(folder.sweep.planned[0].config, pool=pool)
    folder.sweep.planned.append(Planned(6, "6-pool=prefork,trial=1", "pool=prefork", 1, (), config))
    assert folder.due(6) == ()


def test_a_count_that_no_run_has_is_timed_beside_the_first_of_the_trial(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    kind = replace(Config().reference, name="engine", processes=[2, 5])
    folder.sweep.planned[:] = [
        replace(p, config=replace(p.config, reference=kind)) for p in folder.sweep.planned if p.key == "workers=1"
    ]
    [first, *_] = folder.sweep.planned
    record = RunRecord(0, first.key, first.config, first.config.load, tmp_path / first.dir, reference=folder.name)
    assert ReferenceTrials(folder.sweep, tmp_path).due(record) == (1, 2, 5)


@pytest.mark.parametrize("which", ["a search", "a load that says how long it lasts", "off"])
def test_where_speed_is_not_the_question_it_is_not_asked_in_each_trial(tmp_path: Path, which: str) -> None:
    folder = Folder(tmp_path)
    folder.make(1, 2)
    record = folder.record(2)
    if which == "a search":
        folder.sweep = replace(folder.sweep, search={"over": "load.users"})
    elif which == "off":
        record.config = replace(record.config, reference=replace(record.config.reference, name="off"))
    else:
        record.config = replace(record.config, load=LOADS.settings("rate")())
    assert ReferenceTrials(folder.sweep, tmp_path).due(record) == ()
