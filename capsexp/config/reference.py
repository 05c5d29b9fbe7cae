"""`reference`: what texts are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capsexp.setting import setting

REFERENCES = ("auto", "engine", "server", "off")


@dataclass
class ReferenceConfig:
    """What texts are compared with. `engine`: the same segments by the same engine without a server. `server`: the
    server's own answers to one request at a time. `off`: nothing. `auto`: engine for our own server, server for any
    other, whose engine is not known here."""

    name: str = setting("auto", "which reference", choices=REFERENCES)
    processes: Any = setting(
        [1],
        "engine: numbers of processes to run without a server (1 gives the texts); sweep: those of the sweep's workers",
        takes="list of whole numbers from 1, or `sweep`",
    )
    share: float | None = setting(
        0.1,
        "largest share of the runs' time for timing each count of reference processes; 0: once a sweep; null: in "
        "every trial",
        high=1,
    )

    def of(self, server: str) -> str:
        """What `auto` comes to with server=`server`."""
        if self.name != "auto":
            return self.name
        return "engine" if server == "local" else "server"

    def problems(self) -> Iterator[str]:
        given = self.processes
        if given != "sweep" and not (isinstance(given, list) and all(type(p) is int and p >= 1 for p in given)):
            yield f"reference.processes: {given!r} is neither `sweep` nor a list such as [1,2]"
