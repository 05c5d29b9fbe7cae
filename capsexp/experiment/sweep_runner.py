"""A sweep from its plan to its report: every run that is due, the repeats, and the report whatever happens."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from capsexp import archive, compose, interrupts
from capsexp.archive.audio import packed
from capsexp.config import Config, LoadConfig, conf_dir, resolve, to_yaml
from capsexp.counts import counted
from capsexp.errors import ArchiveError, StorageError
from capsexp.experiment import environment, expected, foresee, preflight, screen
from capsexp.experiment.further import Further
from capsexp.experiment.outstanding import outstanding
from capsexp.experiment.record import RunRecord, job
from capsexp.experiment.repeats import Pace, expected_s, key, measured, settle
from capsexp.experiment.run import attempt
from capsexp.experiment.snapshot import keep, used
from capsexp.experiment.submission import submit
from capsexp.experiment.sweep import Planned, PlannedSweep, add, alone, make_folder, record
from capsexp.files import clear_parts, from_here, note, remedy, tell, unwritten, write_json, write_text
from capsexp.live.read import left_said
from capsexp.lock import locked
from capsexp.machine import usable_cpus
from capsexp.overrides import assign
from capsexp.report.advice import as_seen_from_here
from capsexp.report.build import assemble, figures_of, rebuild
from capsexp.results import signature
from capsexp.results.read import read_facts, read_run, read_sweep
from capsexp.results.report import Report
from capsexp.results.write import write
from capsexp.runfiles import JOB


class SweepAborted(BaseException):
    """Nothing more can be kept: ends the sweep. After an Exception Hydra would go on with the next run."""


class SweepRunner:
    """What is done of one sweep. `argv` is what was asked for; `config_dir` and `config_name` are its tree.

    Making one checks that models and samples are there, before anything starts, and raises ConfigError.
    """

    def __init__(
        self, sweep: PlannedSweep, argv: list[str], resumed: bool, config_dir: Path | None, config_name: str
    ) -> None:
        self._sweep, self._argv, self._resumed = sweep, argv, resumed
        self._begun = resumed
        self._further = Further(sweep)
        self._config_dir, self._config_name = config_dir, config_name
        self._engines, self._doubts = preflight.check(sweep)
        self._tree = used(sweep, config_dir, config_name)
        redo = sweep.planned[0].config.redo
        self._due = outstanding(sweep, redo) if resumed else [(planned, "") for planned in sweep.planned]
        self._folder = sweep.folder if resumed else make_folder(sweep)

    def run(self, asked: list[int]) -> int:
        """Run what is due and report; the exit code. `asked`: the signals that have come. Raises StorageError."""
        with nullcontext() if self._resumed else locked(self._folder):  # who resumes has locked it before looking
            return self._run(asked)

    def _run(self, asked: list[int]) -> int:
        try:
            self._begin()
        except (StorageError, OSError) as error:
            raise StorageError(self._ended(self._lost(error))) from None
        finally:
            if not self._begun:  # nobody could go on with it, and its name is wanted again
                shutil.rmtree(self._folder, ignore_errors=True)
        interrupted, lost, report = False, "", None
        try:
            with screen.shown(self._folder, self._sweep.planned[0].config.live):
                code = self._all()
                interrupts.check()
        except KeyboardInterrupt:
            interrupted, code = True, 130
        except (SweepAborted, StorageError, ArchiveError, OSError) as error:
            lost = self._lost(error)
        except Exception:
            if not asked:  # libraries turn an interrupt into errors of their own
                raise
            interrupted, code = True, 130
        finally:
            with interrupts.ignored():  # reporting what is there must not be cut short by a second Ctrl-C
                try:
                    if interrupted:
                        self._record(interrupted=True)
                    report = self._finish()
                except (StorageError, ArchiveError, OSError) as error:
                    lost = lost or self._lost(error)
        if lost:
            raise StorageError(self._ended(lost))
        if interrupted:
            return 130
        assert report is not None
        if code or any(c.status != "ok" or c.incomplete for c in report.configurations):
            return 1
        if self._sweep.report["fail_on_gate"] and report.verdict not in ("FEASIBLE", "FEASIBLE_WITH_CAVEATS"):
            return 3
        return 0

    def _ended(self, lost: str) -> str:
        """What was lost, and how to go on."""
        helps = remedy(lost)
        if not self._begun:
            return f"{lost}; nothing was begun{f': {helps}, then start it again' if helps else ''}"
        first = f"{helps}, then " if helps else ""
        return f"{lost}; the sweep has ended: {first}go on with resume={from_here(self._folder)}"

    def _begin(self) -> None:
        folder, due = self._folder, self._due
        clear_parts(folder, *archive.beside_it(folder))
        keep(folder, self._config_dir, self._tree)
        if self._tree:
            note(f"conf/ keeps of {self._config_dir}: {', '.join(name.as_posix() for name in self._tree)}")
        if len(due) == len(self._sweep.planned) or not (folder / "environment.json").is_file():
            made_by = environment.describe(self._engines, (p.config for p in self._sweep.planned))
            write_json(folder / "environment.json", made_by)  # else: of runs that are kept
        self._record(interrupted=False)
        self._begun = True  # from here on it can be resumed
        if not self._resumed and (lacks := signature.lacking()):
            note(f"warning: {lacks}; until then resume= takes this sweep for somebody else's")
        for doubt in self._doubts:
            note(f"warning: {doubt}")
        for line in foresee.lines(self._sweep, [planned.config for planned, _ in due]):
            note(line)
        note(f"{counted(len(due), 'run')} into {from_here(folder)}")
        if self._resumed:
            note(f"{len(self._sweep.planned) - len(due)} finished before and kept")
            for planned, reason in due:
                note(f"{planned.dir.partition('-')[2]} {reason}")

    def _record(self, interrupted: bool) -> None:
        said = record(self._sweep, self._argv, self._folder, interrupted=interrupted)
        write_json(self._folder / "sweep.json", signature.signed(self._folder, said) if self._sweep.mine else said)

    def _all(self) -> int:
        """What was planned, then what its figures ask for."""
        code = 0
        if self._resumed:
            for planned, _ in self._due:
                code |= self._launch([planned], alone(planned))
        else:
            code = self._launch(self._sweep.planned, self._sweep.overrides)
        return code or self._more()

    def _more(self) -> int:
        """What the figures of what was run ask for."""
        while wanted := self._further.runs(assemble(read_sweep(self._folder))):
            added = add(self._sweep, wanted, self._config_dir, self._config_name)
            self._record(interrupted=False)
            for planned, overrides in added:
                code = self._launch([planned], overrides)
                if code:
                    return code
        if self._further.stopped:
            self._sweep = replace(self._sweep, stopped=self._further.stopped)
            self._record(interrupted=False)
        return 0

    def _launch(self, planned: Sequence[Planned], overrides: Sequence[str]) -> int:
        """Some runs, by Hydra's launcher."""
        planned = list(planned)
        arguments = [*overrides, assign("hydra.sweep.dir", self._folder), "-m"]
        dirs = [p.dir for p in planned]

        def job(raw: DictConfig) -> str:
            return self._job(planned, raw)

        return compose.launch(self._config_dir, self._config_name, arguments, job, dirs)

    def _job(self, planned: Sequence[Planned], raw: DictConfig) -> str:
        """One run. Catches, records and returns: an exception would make Hydra show the first failure and no other."""
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        one, begun = planned[hydra.job.num], time.monotonic()
        try:
            return self._make(one, resolve(raw))
        except (StorageError, OSError) as error:
            raise SweepAborted(self._lost(error)) from None
        finally:
            self._further.took_s[one.key] = time.monotonic() - begun

    def _make(self, planned: Planned, config: Config) -> str:
        run_dir = self._folder / planned.dir
        if planned.num:
            time.sleep(config.cooldown)
        interrupts.check()
        write_text(run_dir / "replay.yaml", _replay(config))
        note(f"[{planned.num + 1}/{len(self._sweep.planned)}] {planned.dir.partition('-')[2]}{left_said(self._folder)}")

        def perform() -> str:
            run = RunRecord(planned.num, planned.key, config, config.load, run_dir)
            begun = attempt(run, lambda: self._prepare(run), last=False)
            return submit(run, self._checkpoint) if begun == "ok" else begun

        status = perform()
        if status == "ok" and self._too_short(planned, config, run_dir):
            status = perform()
        note(f"      {_told(run_dir, status)}")
        return status

    def _prepare(self, run: RunRecord) -> None:
        """What runs share: the reference, and the load that it lets us settle on."""
        say, workers = (lambda line: note(f"      {line}")), self._sweep.worker_counts
        run.reference, pace = expected.ensure(run.config, self._folder, workers, say)
        run.load = self._settle(run, pace)
        write(run.dir / JOB, job(run))

    def _too_short(self, planned: Planned, config: Config, run_dir: Path) -> bool:
        """Whether the first run of those that send the same tells that more has to be sent; then it is taken away."""
        own, decided = key(config), self._sweep.repeats
        if planned.num != min(p.num for p in self._sweep.planned if key(p.config) == own):
            return False
        found = figures_of(read_run(run_dir))
        if (said := measured(config, decided, found.makespan_s if found else None)) is None:
            return False
        note(f"      {said}")
        self._record(interrupted=False)
        for path in run_dir.iterdir():
            if path.is_dir() and path.name != ".hydra":
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        write_text(run_dir / "replay.yaml", _replay(config))
        return True

    def _settle(self, run: RunRecord, pace: Pace | None) -> LoadConfig:
        """What load a run makes: the same for all that are compared, and again when the sweep is resumed."""
        config, decided, planned = run.config, self._sweep.repeats, self._sweep.planned
        before = len(decided)
        configs = [p.config for p in planned]
        load = settle(config, pace, decided, configs, usable_cpus(), lambda line: note(f"      {line}"))
        if len(decided) > before or run.key not in self._sweep.expected:
            alike = [p for p in planned if key(p.config) == key(config)]
            found = {p.key: expected_s(p.config, pace, decided, usable_cpus()) for p in alike}
            self._sweep.expected.update({name: seconds for name, seconds in found.items() if seconds is not None})
            self._record(interrupted=False)
        if load != config.load:
            write_text(run.dir / "replay.yaml", _replay(replace(config, load=load)))
        return load

    def _lost(self, error: BaseException) -> str:
        if not self._folder.is_dir():  # whatever met it first
            return f"cannot write {self._folder.name}: No such file or directory"
        return unwritten(error, self._folder) if isinstance(error, OSError) else str(error)

    def _checkpoint(self) -> None:
        rebuild(self._folder)
        note(f"      a checkpoint is in {from_here(self._folder)}/report.txt")

    def _finish(self) -> Report:
        folder = self._folder
        files = read_sweep(folder)
        runs = [one.run for one in files.runs]
        write_json(folder / "environment.json", environment.with_engines(files.environment, runs))
        report = rebuild(folder)
        tell(as_seen_from_here(folder, report))
        if self._sweep.archive["enabled"]:
            transcripts = self._sweep.archive["transcripts"]
            used = packed((p.config.samples for p in self._sweep.planned), self._sweep.archive["samples"])
            zipped = archive.build(folder, used, transcripts)
            note(f"report in {from_here(folder)}, archived as {zipped.name}")
            note(archive.holds(zipped, transcripts))
        return report


def _told(run_dir: Path, status: str) -> str:
    if status != "ok":
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


def _replay(config: Any) -> str:
    """The whole configuration in one file: `--config-dir RUN --config-name replay` makes this one run again."""
    hydra = OmegaConf.load(conf_dir() / "config.yaml").hydra
    del hydra["help"]
    return to_yaml(config, trials=1, hydra=hydra)
