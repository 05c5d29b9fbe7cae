"""The interface of a pool of workers, and of the kinds of pools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from capsexp.errors import ServerError
from capsexp.pipes import Connection
from capsexp.segments import Recognition, Segment
from capsexp.server.core.life import RetriedWork
from capsexp.server.core.order import Flow
from capsexp.server.core.scheduler import Scheduler
from capsexp.server.messages import Measure, Measured


class RetriesExhausted(ServerError):
    """A segment that failed as often as `server.max_retries` allows; `retries`: how often it was begun again."""

    def __init__(self, reason: str, retries: int) -> None:
        super().__init__(reason)
        self.retries = retries


CHARACTER_S = 0.02  # s of audio that a character to be punctuated counts as: about a tenth of the time to say it


def patience(work: Segment | str | Measure, stuck_s: float, stuck_rtf: float) -> float:
    """How long a worker may take for something, in seconds: it grows with the work, whatever kind it is."""
    return stuck_s + stuck_rtf * (CHARACTER_S * len(work) if isinstance(work, str) else work.audio_s)


@dataclass
class Recognized:
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
    pid: int | None  # None until a worker that was forked has said so
    load_s: float | None = None
    reason: str = ""  # how it died
    cpus: tuple[int, ...] | None = None  # that it is pinned to


@dataclass(eq=False, kw_only=True)
class PendingWork(RetriedWork):
    """A segment, or a final text to be punctuated, that was submitted to the pool. `future` ends with a Recognized or a
    ServerError; cancelling it withdraws the work. `queued`: time.monotonic() of the submission."""

    work: Segment | str
    queued: float
    future: asyncio.Future[Recognized] = field(repr=False)
    on_admitted: Callable[[], object] = field(repr=False)


class Pool(Protocol):
    async def start(self) -> None:
        """Start all workers and wait until each has loaded its model; raises ServerError."""
        ...

    @property
    def scheduler(self) -> Scheduler[PendingWork]:
        """It makes a flow for the segments of each task."""
        ...

    def submit(
        self, work: Segment | str, flow: Flow | None = None, on_admitted: Callable[[], object] = lambda: None
    ) -> asyncio.Future[Recognized]:
        """Queue a segment; cancel the future to take it out of the queue. Once `on_admitted` was called there is room
        for another. A text is to be punctuated and goes first, as somebody waits for it."""
        ...

    def workers(self) -> list[WorkerInfo]: ...

    async def stop(self, grace: float) -> None:
        """Stop by request, then SIGTERM, then SIGKILL; returns when no process is left."""
        ...


class WorkerHandle(Protocol):
    """One worker as the gateway holds it. Its pipe ends when it has died, however it died."""

    pid: int | None

    @property
    def pipe(self) -> Connection: ...

    def alive(self) -> bool: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def ended(self) -> str:
        """How it ended, for an error: `exit code 1`."""
        ...


class Launcher(Protocol):
    """A kind of pool: how its workers come to life. Called on the event loop's thread, and does not wait."""

    def start(self, number: int) -> WorkerHandle:
        """Start worker `number`, or start it again. It sends WorkerReady over its pipe once it has loaded, or Failed.
        Raises OSError, RuntimeError or MemoryError where it cannot be started."""
        ...

    def each_mb(self, first: WorkerHandle, measured: Measured) -> float:
        """What a further worker takes, judged by the first one and by what its longest segment took."""
        ...

    def settle(self, count: int) -> None:
        """No more than so many workers will be started."""
        ...

    def alive(self) -> bool:
        """Whether anything else that it started is left when the workers have gone."""
        ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...
