"""What an executor is: a module, or any object, that has `python -m capsexp.run RUN_DIR` executed somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

STOP_S = 120.0  # for a run to take down and record what it has, before it is killed


@dataclass(frozen=True)
class JobEnd:
    """How that command ended: its exit code, and the last line that it printed."""

    code: int
    said: str


class Executor(Protocol):
    def execute(
        self,
        run_dir: Path,
        secrets: Mapping[str, str],
        within_s: float,
        options: Mapping[str, Any],
        meanwhile: Callable[[], None],
    ) -> JobEnd:
        """Make the run and wait until its command has ended, calling `meanwhile` now and then. `secrets` go into its
        environment and into no file; `options`: what `ExecutorConfig.told` returns. Raises HarnessError where it cannot
        be started or has not ended within `within_s` seconds, and what `meanwhile` raises. Whatever is raised,
        KeyboardInterrupt included, the run has been stopped before."""
