"""A planned run made into a job: its folder with all that it is to do, given to an executor, and what it came to."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from capsexp import interrupts
from capsexp.config import Config, LoadConfig, conf_dir, to_yaml
from capsexp.counts import counted
from capsexp.experiment import expected
from capsexp.experiment.record import RunRecord, job
from capsexp.experiment.reference_trials import ReferenceTrials
from capsexp.experiment.references import References
from capsexp.experiment.repeats import Pace, by_first_run, expected_s, key, measured, settle
from capsexp.experiment.run import attempt
from capsexp.experiment.submission import submit
from capsexp.experiment.sweep import Planned, PlannedSweep
from capsexp.experiment.sweep_folder import SweepFolder
from capsexp.files import note, storing, write_text
from capsexp.live.read import left_said
from capsexp.machine import usable_cpus
from capsexp.report.build import figures_of
from capsexp.results.read import read_facts, read_run
from capsexp.results.verdicts import Status
from capsexp.results.write import write
from capsexp.runfiles import JOB


class Jobs:
    """The runs of a sweep, made one at a time. What a load is to be (`sweep.repeats`, `sweep.expected`) is decided with
    the first run that needs it."""

    def __init__(self, sweep: PlannedSweep, folder: SweepFolder) -> None:
        self._sweep, self._folder = sweep, folder
        self._reference = ReferenceTrials(sweep, folder.path)
        self._references = References(folder.path)

    def make(self, planned: Planned) -> None:
        """Make a run, whatever becomes of it: run.json says what. Raises KeyboardInterrupt, StorageError, OSError."""
        config, run_dir = planned.config, self._folder.path / planned.dir
        if planned.num:
            time.sleep(config.cooldown)
        interrupts.check()
        with storing(run_dir):
            run_dir.mkdir(exist_ok=True)  # not its parent: a sweep whose folder is lost has ended
        write_text(run_dir / "replay.yaml", _replay(config))
        left = left_said(self._folder.path)
        note(f"[{planned.num + 1}/{len(self._sweep.planned)}] {planned.dir.partition('-')[2]}{left}")
        status = self._attempt(planned, run_dir)
        if status == Status.OK and self._too_short(planned, run_dir):
            status = self._attempt(planned, run_dir)
        note(f"      {_told(run_dir, status)}")

    def _attempt(self, planned: Planned, run_dir: Path) -> Status:
        run = RunRecord(planned.num, planned.key, planned.config, planned.config.load, run_dir)
        begun = attempt(run, lambda: self._prepare(run), last=False)
        return submit(run, self._folder.checkpoint) if begun == Status.OK else begun

    def _prepare(self, run: RunRecord) -> None:
        """What runs share: the reference, and the load that it lets us settle on; and what the run is to time of it."""
        cpus = usable_cpus()
        if run.config.executor.local:
            run.reference, pace = expected.ensure(run.config, self._folder.path, _say)
        else:
            run.reference, pace, cpus = self._references.ensure(run.config, _replay(run.config))
        run.load = self._settle(run, pace, cpus)
        run.reference_counts = self._reference.due(run)
        write(run.dir / JOB, job(run))

    def _settle(self, run: RunRecord, pace: Pace | None, cpus: float) -> LoadConfig:
        """What load a run makes: the same for all that are compared, and again when the sweep is resumed."""
        config, decided, planned = run.config, self._sweep.repeats, self._sweep.planned
        before = len(decided)
        load = settle(config, pace, decided, [p.config for p in planned], cpus, _say)
        if len(decided) > before or run.key not in self._sweep.expected:
            alike = [p for p in planned if key(p.config) == key(config)]
            found = {p.key: expected_s(p.config, pace, decided, cpus) for p in alike}
            self._sweep.expected.update({name: seconds for name, seconds in found.items() if seconds is not None})
            self._folder.record()
        if load != config.load:
            write_text(run.dir / "replay.yaml", _replay(replace(config, load=load)))
        return load

    def _too_short(self, planned: Planned, run_dir: Path) -> bool:
        """Whether the first run of those that send the same tells that more has to be sent; then it is taken away."""
        config, decided = planned.config, self._sweep.repeats
        if not by_first_run(config, decided):
            return False
        own = key(config)
        if planned.num != min(p.num for p in self._sweep.planned if key(p.config) == own):
            return False
        try:
            found = figures_of(read_run(run_dir))
        except (ValueError, OSError):  # which is told when the run has ended
            return False
        if (said := measured(config, decided, found.makespan_s if found else None)) is None:
            return False
        _say(said)
        self._folder.record()
        with storing(run_dir):
            shutil.rmtree(run_dir)
            run_dir.mkdir()
        write_text(run_dir / "replay.yaml", _replay(config))
        return True


def _say(line: str) -> None:
    note(f"      {line}")


def _told(run_dir: Path, status: Status) -> str:
    if status != Status.OK:
        error = read_facts(run_dir).error
        return status if error in (None, status) else f"{status}: {error}"
    try:
        found = figures_of(read_run(run_dir))
    except (ValueError, OSError) as error:
        return f"its files cannot be read: {error}"
    if found is None or found.makespan_s is None or found.throughput_rtfx is None:
        count = f"{found.completed} of {counted(found.requests, 'request')}" if found else "not all requests"
        return f"{count} completed"
    peak = found.memory.peak_mb
    memory = f", {peak:.0f} MB" if peak is not None else ""
    return f"{found.makespan_s:.2f} s, {found.throughput_rtfx:.1f} x real time{memory}"


def _replay(config: Config) -> str:
    """The whole configuration in one file: `--config-dir RUN --config-name replay` makes this one run again."""
    hydra = OmegaConf.load(conf_dir() / "config.yaml").hydra
    del hydra["help"]
    return to_yaml(config, trials=1, hydra=hydra)
