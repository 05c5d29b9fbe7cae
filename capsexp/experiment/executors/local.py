"""executor=local: here, as a child."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from capsexp import interrupts
from capsexp.errors import HarnessError
from capsexp.experiment.child import Supervised, python
from capsexp.experiment.executors.base import STOP_S, JobEnd

LAST_BYTES = 1 << 16  # of what it said, that hold its last line
SILENT = "no output"  # of a run that told nothing


def execute(
    run_dir: Path,
    secrets: Mapping[str, str],
    within_s: float,
    options: Mapping[str, Any],
    meanwhile: Callable[[], None],
) -> JobEnd:
    """What the run tells its user goes where ours goes."""
    command = python("capsexp.run", str(run_dir), "--stdin-guard")
    with tempfile.TemporaryFile() as said:  # no pipe: it would be open for as long as anybody holds its other end
        run = Supervised(command, "the run", secrets, out=said.fileno())
        try:
            if not run.done(within_s, meanwhile):
                raise HarnessError(f"the run had not ended after {within_s:.0f} s")
        finally:
            with interrupts.deferred():
                run.stop(STOP_S)  # what it started itself ends with it
        return JobEnd(run.process.returncode, last_line(said))


def last_line(said: IO[bytes]) -> str:
    """Of what a run told."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = said.read().decode("utf-8", "replace").splitlines()
    return lines[-1] if lines else SILENT
