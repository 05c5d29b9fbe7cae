"""`monitor`: what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capsexp.bounds import number
from capsexp.errors import ConfigError
from capsexp.plugpoints import ALWAYS, PROBES


@dataclass
class MonitorConfig:
    interval: float = number(0.5, low=0.01)
    port: int | None = number(None, high=65535, hint="give 1 to 65535, or 0 for any that is free")
    pid: int | None = number(None, low=1)
    log: str | None = None
    html: str | None = None
    live: bool = True
    probes: list[str] | None = None  # what a run asks: see monitor/probes/; null: all that can be asked here

    def problems(self) -> Iterator[str]:
        if self.probes is not None:
            _check("monitor.probes", self.probes)
        return iter(())


def _check(key: str, names: Sequence[str]) -> None:
    """Raises ConfigError, in one line that begins with `key`, for names that no probe has, and where one lacks that
    every report needs."""
    for name in names:
        PROBES.check(key, name)
    if lacks := [name for name in ALWAYS if name not in names]:
        raise ConfigError(
            f"{key}: lacks {' and '.join(lacks)}, of which every report is made; give [{','.join([*ALWAYS, *names])}]"
        )
