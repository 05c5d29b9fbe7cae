"""A running worker: its process, its pipe, its segments; and how workers are ended."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

from capsexp import cgroup
from capsexp.errors import ServerError
from capsexp.segments import Segment
from capsexp.server.messages import Done, Failed, Measured, SegmentJob, TextJob
from capsexp.server.pools.base import Launcher, PendingWork, Recognized, WorkerHandle
from capsexp.server.pools.wire import Wire

log = logging.getLogger(__name__)


class Running:
    """`hand` and `wire` are there once it was started."""

    hand: WorkerHandle
    wire: Wire

    def __init__(self, number: int) -> None:
        self.number = number
        self.open = False  # nobody has seen the end of its pipe
        self.asked = False  # to measure a segment
        self.measured: Measured | Failed | None = None
        self.load_s: float | None = None
        self.cpus: tuple[int, ...] | None = None


class Endings:
    """Describes how workers ended that gave no reason; recognizes those that the kernel's OOM killer ended."""

    def __init__(self) -> None:
        self._oom_kills = cgroup.oom_kills()

    def all_well(self) -> None:
        """Those that were seen so far have been told."""
        self._oom_kills = cgroup.oom_kills()

    def how(self, worker: Running) -> str:
        how, killed = worker.hand.ended(), cgroup.oom_kills()
        if not (how.endswith("-9") or how.startswith("forked")):
            return how
        if killed is not None and self._oom_kills is not None and killed > self._oom_kills:
            self._oom_kills += 1  # one of them; another that died with it has its own
            return f"{how}: the kernel ended it, as its memory limit was reached (out of memory)"
        return how


def each_mb(launcher: Launcher, first: Running, longest_s: float) -> float:
    """What a further worker takes, as measured; infinite when the first did not get through the longest segment."""
    if not isinstance(first.measured, Measured):
        return math.inf
    if heard_s := first.measured.heard_s:
        line = "what a segment of %g s takes is estimated from one of %.3g s: this model is too slow to try it"
        log.warning(line, longest_s, heard_s)
    return launcher.each_mb(first.hand, first.measured)


def said(error: BaseException) -> str:
    """What went wrong in a few words, never empty."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def deliver(ticket: PendingWork, worker: Running, done: Done) -> None:
    """To who waits for it, if anybody still does."""
    if not ticket.future.done():
        times = (ticket.queued, done.started, done.finished)
        ticket.future.set_result(Recognized(done.heard, worker.number, worker.hand.pid or 0, *times, ticket.retries))


def fail(ticket: PendingWork, error: ServerError) -> None:
    """Who waits for it, if anybody still does, is told why there is no result."""
    if not ticket.future.done():
        ticket.future.set_exception(error)


def job(number: int, work: Segment | str) -> SegmentJob | TextJob:
    """What a worker is told."""
    if isinstance(work, str):
        return TextJob(number, work)
    return SegmentJob(number, work.audio, work.start, work.shared)


def name_of(work: Segment | str) -> str:
    """As an error message has it."""
    return "the punctuation" if isinstance(work, str) else f"segment {work.index}"


async def end(hands: Sequence[WorkerHandle], patience: float, grace: float) -> None:
    """Wait `patience` seconds for workers that were asked to end; then terminate what remains, and kill it `grace`
    seconds later."""
    if await gone(hands, patience):
        return
    for act in ("terminate", "kill"):
        for hand in hands:
            if hand.alive():
                getattr(hand, act)()
        if await gone(hands, grace):
            return


async def gone(these: Sequence[WorkerHandle | Launcher | Wire], patience: float) -> bool:
    """Whether none of these is alive any more, within so many seconds."""
    deadline = time.monotonic() + patience
    while any(one.alive() for one in these):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.01)
    return True
