"""executor=local: here, as a child."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from capsexp import interrupts
from capsexp.errors import HarnessError
from capsexp.experiment.child import python
from capsexp.experiment.executors.base import Ended
from capsexp.tool import PARENT

POLL_S = 0.02
STOP_S = 120.0  # for a run to take down and record what it has, before it is killed


def execute(
    run_dir: Path,
    secrets: Mapping[str, str],
    within_s: float,
    options: Mapping[str, Any],
    meanwhile: Callable[[], None],
) -> Ended:
    """What the run tells its user goes where ours goes."""
    try:
        process = subprocess.Popen(
            python("capsexp.run", str(run_dir), "--stdin-guard"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal reaches the sweep alone, which then stops it in order
            env={**os.environ, PARENT: str(os.getpid()), **secrets},
        )
    except OSError as error:
        raise HarnessError(f"the run cannot be started: {error.strerror or error}") from None
    until = time.monotonic() + within_s
    try:
        while process.poll() is None:
            if time.monotonic() > until:
                raise HarnessError(f"the run had not ended after {within_s:.0f} s")
            meanwhile()
            time.sleep(POLL_S)
    finally:
        with interrupts.deferred():
            _stop(process)
    assert process.stdout is not None
    with process.stdout as out:
        lines = out.read(1 << 16).decode("utf-8", "replace").splitlines()
    return Ended(process.returncode, lines[-1] if lines else "it said nothing")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()  # all that it started ends with it
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
