"""`executor`: where runs are executed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capsexp.plugpoints import EXECUTORS
from capsexp.setting import setting


@dataclass
class ExecutorConfig:
    """Where runs are executed, one at a time: here, each as `python -m capsexp.run RUN_DIR`."""

    name: str = setting("local", "which executor")
    options: dict[str, Any] = setting({}, "options of an executor from another package")

    def problems(self) -> Iterator[str]:
        yield from EXECUTORS.problems("executor", [self.name])
