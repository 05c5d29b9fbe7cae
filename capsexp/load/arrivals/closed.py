"""So many requests at a time: the next one begins as soon as one has its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.load.arrivals.all import plan as plan  # all of them, for as many places as there are
from capsexp.load.base import LoadConfig


@dataclass
class Settings(LoadConfig):
    name: str = "closed"
    concurrency: int = 4

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.concurrency < 1:
            yield "load.concurrency: load=closed has at least 1 request at a time; load=all has no bound"
