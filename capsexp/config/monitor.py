"""`monitor`: what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.plugpoints import ALWAYS, PROBES
from capsexp.setting import setting


@dataclass
class MonitorConfig:
    """What is measured."""

    interval: float = setting(0.5, "s between two looks", low=0.01)
    port: int | None = setting(
        None, "alone: the server to find, by its port", high=65535, hint="give 1 to 65535, or 0 for any that is free"
    )
    pid: int | None = setting(None, "alone: the server to find, by its process id", low=1)
    log: str | None = setting(None, "alone: the file that a table of it goes into, CSV")
    html: str | None = setting(None, "alone: the file that a page with its plots goes into, in the end")
    live: bool = setting(True, "alone: show what is seen, on a terminal")
    probes: list[str] | None = setting(
        None, "in a run: what is asked, e.g. [processes,system,neighbours]; null: all that can be asked here"
    )

    def problems(self) -> Iterator[str]:
        if self.probes is None:
            return
        yield from PROBES.problems("monitor.probes", self.probes)
        if lacks := [name for name in ALWAYS if name not in self.probes]:
            every = ",".join([*ALWAYS, *self.probes])
            yield f"monitor.probes: lacks {' and '.join(lacks)}, of which every report is made; give [{every}]"
