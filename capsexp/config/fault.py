"""`fault`: what is done to the server while it is measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.bounds import number
from capsexp.config.checks import one_of

WORKER_FAULTS = ("kill_worker", "freeze_worker", "slow_worker", "kill_all_workers", "crash_engine", "memory_limit")
CLIENT_FAULTS = ("client_vanishes", "slow_client", "garbage_client")


@dataclass
class FaultConfig:
    """What is done to the server while it is measured: first `at_s` seconds into the load, then `rate` times a second;
    see conf/fault/none.yaml."""

    name: str = "none"
    at_s: float = 1.0
    rate: float = 0.0
    most: int = 0
    seed: int = number(1, high=2**64)
    for_s: float = 5.0
    slowdown: float = number(10.0, low=1)
    room_mb: float = 0.0

    def problems(self) -> Iterator[str]:
        yield from one_of("fault", self.name, ("none", *WORKER_FAULTS, *CLIENT_FAULTS))
        if self.name == "memory_limit" and sys.platform != "linux":
            yield "fault=memory_limit: needs Linux"
        if self.name in WORKER_FAULTS and sys.platform == "win32":
            yield f"fault={self.name}: needs the signals of Linux or macOS"
