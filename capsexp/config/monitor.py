"""`monitor`: what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.plugpoints import ALWAYS, PROBES
from capsexp.setting import setting


@dataclass
class MonitorConfig:
    """What is measured."""

    interval: float = setting(0.5, "s between two samples", low=0.01)
    port: int | None = setting(
        None, "alone: port of the server to watch", high=65535, hint="give 1 to 65535, or 0 for any free port"
    )
    pid: int | None = setting(None, "alone: process id of the server to watch", low=1)
    log: str | None = setting(None, "alone: CSV file for the table")
    html: str | None = setting(None, "alone: HTML file for the plots, written at the end")
    live: bool = setting(True, "alone: show the samples on a terminal")
    probes: list[str] | None = setting(
        None, "in a run: the probes to use, e.g. [processes,system,neighbours]; null: all that work here"
    )

    def problems(self) -> Iterator[str]:
        if self.probes is None:
            return
        yield from PROBES.problems("monitor.probes", self.probes)
        if lacks := [name for name in ALWAYS if name not in self.probes]:
            every = ",".join([*ALWAYS, *self.probes])
            yield f"monitor.probes: lacks {' and '.join(lacks)}, which every report needs; give [{every}]"
