"""A sweep from its plan to its report: every run that is due, those that their figures ask for, and the report whatever
happens."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from capsexp import interrupts
from capsexp.errors import ArchiveError, StorageError
from capsexp.experiment import preflight, screen
from capsexp.experiment.further import Further
from capsexp.experiment.job import Jobs
from capsexp.experiment.outstanding import outstanding
from capsexp.experiment.snapshot import used
from capsexp.experiment.sweep import Planned, PlannedSweep, add, make_folder
from capsexp.experiment.sweep_folder import SweepFolder
from capsexp.lock import locked
from capsexp.report.build import assemble
from capsexp.results.read import read_sweep
from capsexp.results.report import Report
from capsexp.results.verdicts import Status, Verdict

KEPT_FROM_US = (StorageError, ArchiveError, OSError)  # nothing more can be kept: the sweep ends


class SweepRunner:
    """What is done of one sweep. `argv` is what was asked for; `config_dir` and `config_name` are its tree.

    Making one checks that models and samples are there, before anything starts, and raises ConfigError.
    """

    def __init__(
        self, sweep: PlannedSweep, argv: list[str], resumed: bool, config_dir: Path | None, config_name: str
    ) -> None:
        self._sweep, self._resumed = sweep, resumed
        self._config_dir, self._config_name = config_dir, config_name
        self._engines, self._doubts = preflight.check(sweep)
        self._tree = used(sweep, config_dir, config_name)
        redo = sweep.planned[0].config.redo
        self._due = outstanding(sweep, redo) if resumed else [(planned, "") for planned in sweep.planned]
        self._folder = SweepFolder(sweep.folder if resumed else make_folder(sweep), sweep, argv, resumed)
        self._jobs, self._further = Jobs(sweep, self._folder), Further(sweep)
        self._folder.further_since = self._further.since

    def run(self, asked: list[int]) -> int:
        """Run what is due and report; the exit code. `asked`: the signals that have come. Raises StorageError."""
        # Who resumes has locked it before looking.
        with nullcontext() if self._resumed else locked(self._folder.path):
            self._begin()
            return self._run(asked)

    def _begin(self) -> None:
        folder = self._folder
        try:
            folder.begin(self._due, self._engines, self._doubts, self._config_dir, self._tree)
        except (StorageError, OSError) as error:
            raise StorageError(folder.ended(folder.lost(error))) from None
        finally:
            if not folder.begun:  # nobody could go on with it, and its name is wanted again
                shutil.rmtree(folder.path, ignore_errors=True)

    def _run(self, asked: list[int]) -> int:
        folder = self._folder
        interrupted, lost, report = False, "", None
        try:
            with screen.shown(folder.path, self._sweep.planned[0].config.live):
                self._all()
                interrupts.check()
        except KeyboardInterrupt:
            interrupted = True
        except KEPT_FROM_US as error:
            lost = folder.lost(error)
        except Exception:
            if not asked:  # libraries turn an interrupt into errors of their own
                raise
            interrupted = True
        finally:
            with interrupts.ignored():  # reporting what is there must not be cut short by a second Ctrl-C
                try:
                    if interrupted:
                        folder.record(interrupted=True)
                    report = folder.finish()
                except KEPT_FROM_US as error:
                    lost = lost or folder.lost(error)
        if lost:
            raise StorageError(folder.ended(lost))
        assert report is not None
        return 130 if interrupted else self._code(report)

    def _all(self) -> None:
        for planned in self._each():
            began = time.monotonic()
            self._jobs.make(planned)
            self._further.took_s[planned.key] = time.monotonic() - began

    def _each(self) -> Iterator[Planned]:
        """What is due, then what the figures of what was run ask for, until they ask for nothing."""
        yield from (planned for planned, _ in self._due)
        self._further.took([one.run for one in read_sweep(self._folder.path).runs])
        while wanted := self._further.runs(assemble(read_sweep(self._folder.path))):
            added = add(self._sweep, wanted, self._config_dir, self._config_name)
            self._folder.further_since = self._further.since
            self._folder.record()
            yield from added
        if self._further.stopped:
            self._folder.stopped = self._further.stopped
            self._folder.record()

    def _code(self, report: Report) -> int:
        if any(c.status != Status.OK or c.incomplete for c in report.configurations):
            return 1
        if not self._sweep.config.report.fail_on_gate or report.verdict in (Verdict.FEASIBLE, Verdict.CAVEATS):
            return 0
        return 3 if report.verdict == Verdict.NOT_FEASIBLE else 4
