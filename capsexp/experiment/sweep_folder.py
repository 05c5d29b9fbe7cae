"""The folder of a sweep: begun, kept up to date while its runs are made, and reported on in the end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from capsexp import archive
from capsexp.archive.audio import packed
from capsexp.counts import counted
from capsexp.engines import EngineConfig
from capsexp.experiment import environment, foresee, schedules
from capsexp.experiment.snapshot import keep
from capsexp.experiment.sweep import Planned, PlannedSweep, record
from capsexp.files import clear_parts, from_here, note, remedy, tell, unwritten, write_json
from capsexp.report.advice import as_seen_from_here
from capsexp.report.build import rebuild
from capsexp.results import signature
from capsexp.results.read import read_sweep
from capsexp.results.report import Report
from capsexp.results.sweep import write_plan
from capsexp.runfiles import PASSING


class SweepFolder:
    """`argv` is what was asked for. `begun`: it can be resumed; `stopped`: the setting that ended trials=auto, whose
    time counts from `further_since` (Unix time) on."""

    def __init__(self, path: Path, sweep: PlannedSweep, argv: list[str], resumed: bool) -> None:
        self.path, self.begun = path, resumed
        self.stopped: str | None = None
        self.further_since: float | None = None
        self._sweep, self._argv, self._resumed = sweep, argv, resumed

    def begin(
        self,
        due: Sequence[tuple[Planned, str]],
        engines: Sequence[EngineConfig],
        doubts: Sequence[str],
        config_dir: Path | None,
        tree: list[PurePosixPath],
    ) -> None:
        """Write what stands there before any run, and say what is to be done: the runs that are `due`, each with its
        reason. Raises StorageError, OSError."""
        path, planned = self.path, self._sweep.planned
        clear_parts(path, *archive.beside_it(path))
        keep(path, config_dir, tree)
        for key, kept in schedules.keep(path, (run.config for run, _ in due)).items():
            self._sweep.schedules.setdefault(key, {}).update(kept)
        if tree:
            note(f"conf/ keeps of {config_dir}: {', '.join(name.as_posix() for name in tree)}")
        if len(due) == len(planned) or not (path / "environment.json").is_file():
            made_by = environment.describe(engines, (run.config for run in planned))
            write_json(path / "environment.json", made_by)  # else: of runs that are kept
        self.record()
        self.begun = True
        if not self._resumed and (lacks := signature.lacking()):
            note(f"warning: {lacks}; until then resume= treats this sweep as someone else's")
        for doubt in doubts:
            note(f"warning: {doubt}")
        for line in foresee.lines(self._sweep, [run.config for run, _ in due]):
            note(line)
        note(f"{counted(len(due), 'run')} into {from_here(path)}")
        if self._resumed:
            note(f"{len(planned) - len(due)} finished before and kept")
            for run, reason in due:
                note(f"{run.dir.partition('-')[2]} {reason}")

    def record(self, interrupted: bool = False) -> None:
        """sweep.json as it is now. Raises StorageError."""
        now = record(self._sweep, self._argv, self.path, interrupted, self.stopped, self.further_since)
        write_plan(self.path, now, self._sweep.mine)

    def checkpoint(self) -> None:
        rebuild(self.path)
        note(f"      a checkpoint is in {from_here(self.path)}/report.txt")

    def finish(self) -> Report:
        """The report and the archive, of what is there. Raises StorageError, ArchiveError, OSError."""
        path, wanted = self.path, self._sweep.config.archive
        shutil.rmtree(path / PASSING, ignore_errors=True)
        files = read_sweep(path)
        runs = [one.run for one in files.runs]
        made_by = environment.with_engines(files.environment, runs)
        if not self._sweep.config.executor.local:
            made_by = environment.of_nodes(made_by, runs)
        write_json(path / "environment.json", made_by)
        report = rebuild(path)
        tell(as_seen_from_here(path, report))
        if wanted.enabled:
            used = packed((p.config.samples for p in self._sweep.planned), wanted.samples)
            zipped = archive.build(path, used, wanted.transcripts)
            note(f"report in {from_here(path)}, archived as {zipped.name}")
            note(archive.holds(zipped, wanted.transcripts))
        return report

    def lost(self, error: BaseException) -> str:
        """What could not be kept, in one line."""
        if not self.path.is_dir():  # whatever met it first
            return f"cannot write {self.path.name}: No such file or directory"
        return unwritten(error, self.path) if isinstance(error, OSError) else str(error)

    def ended(self, lost: str) -> str:
        """What was lost, and how to go on."""
        helps = remedy(lost)
        if not self.begun:
            return f"{lost}; nothing was begun{f': {helps}, then start it again' if helps else ''}"
        first = f"{helps}, then " if helps else ""
        return f"{lost}; the sweep has ended: {first}go on with resume={from_here(self.path)}"
