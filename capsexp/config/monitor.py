"""`monitor`: what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.bounds import number
from capsexp.monitor import probes


@dataclass
class MonitorConfig:
    interval: float = number(0.5, low=0.01)
    port: int | None = number(None, high=65535, hint="give 1 to 65535, or 0 for any that is free")
    pid: int | None = number(None, low=1)
    log: str | None = None
    live: bool = True
    probes: list[str] | None = None  # what a run asks: see monitor/probes/; null: all that can be asked here

    def faults(self) -> Iterator[str]:
        if self.probes is not None:
            probes.check("monitor.probes", self.probes)
        return iter(())
