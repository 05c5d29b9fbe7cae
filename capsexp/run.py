"""python -m capsexp.run RUN_DIR: do what RUN_DIR/replay.yaml says, once, on any machine that sees the folder.

A run that is finished is left alone. --job: as a job, which may be on another machine than whoever looks after it: it
says who it is, gives signs of life, and stops when its stdin ends. Exit code: 0 it is ok, 1 it failed or was refused,
2 its folder cannot be used, 4 a file of it could not be written, 130 it was interrupted. The last line
on stdout says the same in words.
"""

from __future__ import annotations

import _thread
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from capsexp import interrupts, lifeline
from capsexp.config import Config, literal, resolve
from capsexp.errors import ConfigError, EngineError, HarnessError, StorageError
from capsexp.experiment import expected, reference
from capsexp.experiment.attempts import node, owned
from capsexp.experiment.record import RunRecord, finished
from capsexp.experiment.repeats import foretold, settle
from capsexp.experiment.run import RunExecution, attempt
from capsexp.files import note, tell
from capsexp.lock import locked
from capsexp.machine import usable_cpus
from capsexp.results.forms import known, typed
from capsexp.results.handover import Job
from capsexp.results.verdicts import Status
from capsexp.runfiles import BEAT, JOB, OWNER
from capsexp.tool import PARENT, TOKEN

USAGE = "usage: python -m capsexp.run RUN_DIR, the folder of a run with its replay.yaml"
GUARD = "--stdin-guard"  # whoever started us holds our stdin: its end means stop
ELSEWHERE = "--job"  # likewise, and that may be on another machine
_CODES = {Status.OK: 0, Status.INTERRUPTED: 130}
_NAME = re.compile(r"(\d+)-(.+?)(?:,trial=\d+)?")


def main(argv: Sequence[str]) -> int:
    if {"--help", "-h"} & {*argv}:
        tell(__doc__ or USAGE)
        return 0
    words, elsewhere = [word for word in argv if word not in (GUARD, ELSEWHERE)], ELSEWHERE in argv
    if len(words) != 1 or words[0].startswith("-"):
        raise ConfigError(USAGE)
    run_dir = Path(words[0]).absolute()
    if not (run_dir / "replay.yaml").is_file():
        if elsewhere:
            tell(_unseen(run_dir))  # the last line on stdout is what whoever submitted the job is told
        raise ConfigError(f"{words[0]}: holds no replay.yaml; {USAGE}")
    if held := elsewhere or GUARD in argv:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever started us may ignore it, and tells us to stop by it
    with interrupts.in_order():
        if held:
            if not elsewhere:
                lifeline.die_with_parent(int(os.environ[PARENT]))
            lifeline.on_stdin_closed(lambda: _thread.interrupt_main(signal.SIGTERM))
        try:
            with owned(run_dir) if elsewhere else nullcontext(), locked(run_dir):
                return _once(run_dir)
        except StorageError as error:
            tell(str(error))
            return StorageError.EXIT


def _unseen(run_dir: Path) -> str:
    """Of a folder that is there where the job was submitted: the first of its parents that is not there here."""
    there = (path for path in (*reversed(run_dir.parents), run_dir) if not os.path.exists(path))
    return f"{node()} does not see {next(there, run_dir / 'replay.yaml')}; share it with the nodes"


def _once(run_dir: Path) -> int:
    if (before := finished(run_dir)) is not None:
        tell(f"{before}: the run was finished before; nothing was done")
        return _CODES.get(before, 1)
    _clear(run_dir)
    record, config, job = _planned(run_dir)

    def act() -> None:
        _prepare(record, config, job)
        if job is None or job.only is None:
            RunExecution(record, note).perform()

    try:
        status = attempt(record, act)
    except KeyboardInterrupt:
        status = record.status
    tell(f"{status}{f': {record.error}' if record.error else ''}")
    return _CODES.get(status, 1)


def _clear(run_dir: Path) -> None:
    """Remove what a run that was cut short has left."""
    for path in run_dir.iterdir():
        if path.name not in ("replay.yaml", JOB, OWNER, BEAT, ".lock", "debug.log"):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _planned(run_dir: Path) -> tuple[RunRecord, Config, Job | None]:
    """What is known of the run, and what it is to do: that is what was asked for where its load was settled; and what
    its sweep says, where there is one."""
    try:
        tree: Any = OmegaConf.load(run_dir / "replay.yaml")
        tree.pop("hydra", None)  # how Hydra would start it
        tree.server.token = literal(os.environ.get(TOKEN) or None)
    except (OmegaConfBaseException, YAMLError, ValueError, AttributeError) as error:
        said = next(iter(str(error).splitlines()), "")
        raise ConfigError(f"{run_dir.name}/replay.yaml cannot be read: {said}") from None
    config = resolve(tree)
    named = _NAME.fullmatch(run_dir.name)
    job, num, key, asked = None, int(named[1]) if named else 0, named[2] if named else run_dir.name, config
    timed: tuple[int, ...] = ()
    if (run_dir / JOB).is_file():
        try:
            job = typed(known(run_dir / JOB), Job)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{run_dir.name}/{JOB} cannot be read: {error}") from None
        num, key, load, timed = job.num, job.key, job.load, job.reference
        asked = replace(config, trials=job.trials, load=replace(config.load, **msgspec.structs.asdict(load)))
    return RunRecord(num, key, asked, config.load, run_dir, reference_counts=timed), config, job


def _prepare(record: RunRecord, config: Config, job: Job | None) -> None:
    """The reference, and the load that it lets us settle on: there already in a sweep, which has them for all runs; and
    how fast plain processes are just now, where the sweep asks for it."""
    sweep = record.dir.joinpath(job.sweep if job is not None else "..").resolve()
    record.reference, pace = expected.ensure(config, sweep, lambda line: note(f"      {line}"))
    if job is not None and job.only is not None:
        return
    if record.reference_counts:
        began = time.monotonic()
        try:
            record.reference_runs = reference.time_counts(config, record.dir, record.reference_counts)
        except (EngineError, HarnessError) as error:  # the run itself needs nothing of it
            record.warnings.append(f"how fast plain processes are could not be timed: {error}")
        finally:
            record.phases["reference"] = time.monotonic() - began
    record.load = settle(config, pace, {}, [config], usable_cpus(), lambda line: note(f"      {line}"))
    if pace is not None and (warning := foretold(record.config, record.load, pace, usable_cpus())):
        record.warnings.append(warning)
        note(f"      warning: {warning}")


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.run"))
