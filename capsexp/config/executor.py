"""`executor`: where runs are executed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from capsexp.plugpoints import EXECUTORS


@dataclass
class ExecutorConfig:
    """`options` are of an executor that another package brings."""

    name: str = "local"
    options: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        EXECUTORS.check("executor", self.name)
        return iter(())
