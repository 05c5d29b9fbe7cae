"""How fast the CPUs themselves are: the time of a fixed piece of work. Only this shows another virtual machine on the
same cores, or a clock that is throttled where no clock can be read: the work of every process just takes longer."""

from __future__ import annotations

import time
from collections.abc import Sequence

from capsexp.monitor.probes.base import Column, Row, Watch

COLUMNS = (Column("work_us", "us", "CPU time of a fixed piece of work, on the CPU where the monitor runs"),)
ROLES = ()
EVERY_S = 1.0
COST = "two times 0.2 ms of arithmetic"
ROUNDS = 3000


def missing() -> str | None:
    return None


def start(watch: Watch) -> Speed:
    return Speed()


class Speed:
    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        return [{"work_us": min(_work(), _work())}]  # the first fills the caches

    def close(self) -> None:
        pass


def _work() -> float:
    """Its CPU time in microseconds: what other threads take meanwhile does not count."""
    began, total = time.thread_time_ns(), 0
    for n in range(ROUNDS):
        total += n * n
    return (time.thread_time_ns() - began) / 1000
