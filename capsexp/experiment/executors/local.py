"""executor=local: here, as a child."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from capsexp import interrupts
from capsexp.errors import HarnessError
from capsexp.experiment.child import Supervised, python
from capsexp.experiment.executors.base import JobEnd

POLL_S = 0.02
STOP_S = 120.0  # for a run to take down and record what it has, before it is killed


def execute(
    run_dir: Path,
    secrets: Mapping[str, str],
    within_s: float,
    options: Mapping[str, Any],
    meanwhile: Callable[[], None],
) -> JobEnd:
    """What the run tells its user goes where ours goes."""
    command = python("capsexp.run", str(run_dir), "--stdin-guard")
    run = Supervised(command, "the run", secrets, out=subprocess.PIPE)
    until = time.monotonic() + within_s
    try:
        while run.alive():
            if time.monotonic() > until:
                raise HarnessError(f"the run had not ended after {within_s:.0f} s")
            meanwhile()
            time.sleep(POLL_S)
    finally:
        with interrupts.deferred():
            run.stop(STOP_S)  # what it started itself ends with it
    assert run.process.stdout is not None
    with run.process.stdout as out:
        lines = out.read(1 << 16).decode("utf-8", "replace").splitlines()
    return JobEnd(run.process.returncode, lines[-1] if lines else "it said nothing")
