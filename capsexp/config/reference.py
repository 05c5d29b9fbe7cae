"""`reference`: what texts are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from capsexp.config.checks import one_of

REFERENCES = ("engine", "server", "off")


@dataclass
class ReferenceConfig:
    """`name`: `engine`, the same segments by the same engine without a server; `server`, its own answers to one request
    at a time; `off`. `processes`, of `engine`: `sweep` (every worker count of the sweep) or a list of counts; 1 always
    runs, for the texts."""

    name: str = "engine"
    processes: Any = field(default_factory=lambda: [1])

    def problems(self) -> Iterator[str]:
        yield from one_of("reference", self.name, REFERENCES)
        given = self.processes
        if given != "sweep" and not (isinstance(given, list) and all(type(p) is int and p >= 1 for p in given)):
            yield f"reference.processes: {given!r} is neither `sweep` nor a list such as [1,2]"
