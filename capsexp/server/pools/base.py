"""What every pool of workers offers the dispatcher, and how a segment travels through it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from capsexp.segments import Recognition, Segment


@dataclass
class Outcome:
    """A recognized segment. Times are time.monotonic()."""

    heard: Recognition
    worker: int
    pid: int
    queued: float
    started: float
    finished: float
    retries: int


@dataclass
class WorkerInfo:
    worker: int
    pid: int
    state: str  # loading | ready | dead
    load_s: float | None = None
    pending: int = 0  # segments given to it that are not done


@dataclass(eq=False)
class Ticket:
    """A segment on its way: where it may run, and the future that ends with an Outcome or a ServerError."""

    segment: Segment
    worker: int | None
    queued: float
    future: asyncio.Future[Outcome] = field(repr=False)
    retries: int = 0


class Pool(Protocol):
    async def start(self) -> None:
        """Start all workers and wait until each has loaded its model; raises ServerError."""
        ...

    def submit(self, segment: Segment, worker: int | None = None) -> asyncio.Future[Outcome]:
        """Queue a segment for any worker, or for one; cancel the future to take it out of the queue."""
        ...

    def workers(self) -> list[WorkerInfo]: ...

    async def stop(self, grace: float) -> None:
        """Stop by request, then SIGTERM, then SIGKILL; returns when no process is left."""
        ...
