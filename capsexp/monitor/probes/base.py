"""What a probe is: a source of measurements that the monitor asks while something is measured.

A probe is a module, or any object, that says what it tells and whether it can be asked on this machine, and that makes
a source, which holds what is open while it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from capsexp.results.rows import Row as Row
from capsexp.results.tables import SERVER_ROLES

INFRA = "infra"  # what places the server's processes on machines, as Ray does: with all that it starts and nobody names
APART = ("client", "fault", INFRA)  # not the server's, with all that they start
PROCESS_ROLES = ("monitor", *SERVER_ROLES, *APART)


@dataclass(frozen=True)
class Column:
    """`unit`: MB (of 2**20 bytes), s, %, ...; nothing for counts and names. What only grows says so in `what`."""

    name: str
    unit: str
    what: str


@dataclass(frozen=True)
class Watch:
    """What the monitor watches. `roots`: processes by pid with their roles, each with all its descendants. `pids_dir`:
    a folder with a file for each process that reports its role, named by its pid: `worker 2`, `client 0`."""

    roots: dict[int, str]
    pids_dir: Path | None


class Source(Protocol):
    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        """The rows of this moment, with the probe's columns and, where it has roles, `role`, `worker` and `pid`; what
        is unknown is left out. `now`: time.monotonic(); `watched`: this moment's rows of monitor.csv, one for each
        process of ours (`role`, `worker`, `pid`, ...)."""

    def close(self) -> None:
        """Called once, when nothing more is asked."""


class Probe(Protocol):
    @property
    def COLUMNS(self) -> Sequence[Column]:
        """Of its table, beside `time_s`; what only a few rows have is empty in the others."""

    @property
    def ROLES(self) -> Sequence[str]:
        """What its rows are about: roles of processes, or others of its own. Nothing: its rows have no role."""

    @property
    def EVERY_S(self) -> float:
        """Seconds between two looks, at least; 0: at each tick. One that costs much is asked less often."""

    @property
    def COST(self) -> str:
        """What a look costs, in words."""

    def missing(self) -> str | None:
        """Why it cannot be asked here and what to do about it, in one line; None where it can. Asked before anything
        starts: to import what it needs is for this and for `start`."""

    def start(self, watch: Watch) -> Source:
        """What is asked from now on; called in the monitor's process."""
