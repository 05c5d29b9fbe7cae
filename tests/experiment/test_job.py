"""A planned run made: what is read of it when it has ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from capsexp.config import Config, ServerConfig
from capsexp.engines.null import NullConfig
from capsexp.experiment import job
from capsexp.experiment.job import Jobs
from capsexp.experiment.repeats import key
from capsexp.experiment.sweep import Planned, PlannedSweep
from capsexp.experiment.sweep_folder import SweepFolder
from capsexp.results.sweep import Repeats
from capsexp.results.verdicts import Status

UNTOLD = Config(engine=NullConfig(), server=ServerConfig("external", url="ws://x:1"))
ONE_READ = 1  # which says what the run came to


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Of a sweep of one run, which ends well and leaves a run.json that is torn."""

    def attempt(self: Jobs, planned: Planned, run_dir: Path) -> Status:
        (run_dir / "run.json").write_text('{"status": "o')
        return Status.OK

    monkeypatch.setattr(Jobs, "_attempt", attempt)
    sweep = PlannedSweep(UNTOLD, [planned(UNTOLD)], tmp_path, True)
    sweep.repeats[key(UNTOLD)] = Repeats(repeats=10, concurrency=4)
    return Jobs(sweep, SweepFolder(tmp_path, sweep, [], resumed=False))


def planned(config: Config) -> Planned:
    return Planned(0, "0-workers=1", "workers=1", 1, (), config)


def test_a_first_run_that_cannot_be_read_is_said_and_the_sweep_goes_on(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.make(planned(UNTOLD))
    assert "its files cannot be read: " in capsys.readouterr().err


@pytest.mark.parametrize("config", [UNTOLD, replace(UNTOLD, server=ServerConfig("local"))])
def test_only_of_a_server_with_untold_workers_the_first_run_is_read_twice(
    jobs: Jobs, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(folder: Path) -> None:
        read.append(folder)
        raise ValueError("torn")

    monkeypatch.setattr(job, "read_run", counted)
    jobs.make(planned(config))
    assert len(read) == ONE_READ + (config is UNTOLD)
