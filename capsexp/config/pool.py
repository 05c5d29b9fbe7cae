"""`pool`: how workers are created and share memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.engines import EngineConfig
from capsexp.setting import setting

POOLS = ("process", "prefork", "thread")


@dataclass
class PoolConfig:
    """What owns the workers. `process`: N spawned processes, each with its own model. `prefork`: one process loads the
    model, then forks N workers that share its memory (Linux, threads=1). `thread`: one process, N threads over one
    model, for engines whose library allows it."""

    name: str = setting("process", "which pool", choices=POOLS)

    def unfit(self, engine: EngineConfig, threads: int) -> Iterator[str]:
        """Why this pool cannot run this engine, here."""
        if self.name == "prefork":
            if sys.platform != "linux":
                yield "pool=prefork: forks after loading, which only Linux does safely; use pool=process"
            if threads > 1:
                yield (
                    "pool=prefork: needs threads=1, because a fork keeps only one thread; use more workers, or "
                    "pool=process"
                )
            if reason := engine.unforkable():
                yield f"pool=prefork: {reason}"
        if self.name == "thread" and not engine.shareable:
            yield (
                f"pool=thread: engine={engine.name} cannot be shared by threads; use pool=process"
                f"{' or pool=prefork' if engine.fork_safe else ''}"
            )
