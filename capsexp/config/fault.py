"""`fault`: what is done to the server while it is measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting

WORKER_FAULTS = ("kill_worker", "freeze_worker", "slow_worker", "kill_all_workers", "crash_engine", "memory_limit")
NODE_FAULTS = ("kill_node", "freeze_node")  # of pool=ray
CLIENT_FAULTS = ("client_vanishes", "slow_client", "garbage_client")


@dataclass
class FaultConfig:
    """What is done to the server while it is measured. `none`: nothing."""

    name: str = setting("none", "which fault", choices=("none", *WORKER_FAULTS, *NODE_FAULTS, *CLIENT_FAULTS))
    at_s: float = setting(1.0, "s into the load at which the first fault occurs")
    rate: float = setting(0.0, "further faults per second on average (a Poisson process); 0: only the first")
    most: int = setting(0, "largest number of faults; 0: as many as fit into the load")
    seed: int = setting(1, "seed of the times and targets of faults", high=2**64)
    for_s: float = setting(5.0, "s that slow_worker, slow_client and freeze_node last")
    slowdown: float = setting(10.0, "slow_worker: factor by which it is slower", low=1)
    room_mb: float = setting(0.0, "memory_limit: address space beyond the memory that the worker already holds, MB")
    stays_dead: bool | None = setting(
        None, "kill_worker: not replaced until the load ends; null: true with search=capacity, else false"
    )

    @property
    def keeps_away(self) -> bool:
        """Whether a worker is away from the fault on until the load ends."""
        return self.name == "kill_worker" and bool(self.stays_dead)

    def problems(self) -> Iterator[str]:
        yield from ()  # to mypy, which looks at one platform at a time, nothing below is
        if self.name == "memory_limit" and sys.platform != "linux":
            yield "fault=memory_limit: needs Linux"
        if self.name in (*WORKER_FAULTS, *NODE_FAULTS) and sys.platform == "win32":
            yield f"fault={self.name}: needs the signals of Linux or macOS"
        if self.keeps_away and self.rate:
            yield "fault.rate: with fault.stays_dead one worker is away until the load ends; leave it out"
