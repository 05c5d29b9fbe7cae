"""Delivers one task: its segments to the pool, its results to the client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from capsexp.errors import ServerError
from capsexp.protocol import RATE, AudioMessage, encode_error, encode_result
from capsexp.segments import Merger, Segment
from capsexp.server.connection import Disconnected
from capsexp.server.core.order import Flow
from capsexp.server.core.task import Came, Task
from capsexp.server.pools.base import Recognized, RetriesExhausted

if TYPE_CHECKING:
    from capsexp.server.connection_handler import ConnectionHandler

log = logging.getLogger(__name__)

SegmentDone: TypeAlias = Callable[[str, Segment, "Recognized | RetriesExhausted | None", float], None]


class Delivery:
    def __init__(self, handler: ConnectionHandler, task: Task) -> None:
        self.handler, self.gateway, self.task = handler, handler.gateway, task
        self.flow: Flow | None = self.gateway.pool.scheduler.flow(task.id, task.mic)
        self._untaken = 0  # results that were begun and not taken
        self._held = 0  # bytes, as counted
        self._futures: set[asyncio.Future[Recognized]] = set()
        self._news = asyncio.Event()
        self._running = asyncio.create_task(self._run())

    async def feed(self, message: AudioMessage) -> None:
        """Returns when there is room for another message."""
        for segment in self.task.feed(message):
            await self._may_begin()
            if self.task.failed:
                return
            place = asyncio.Event()
            future = self.gateway.pool.submit(segment, self.flow, place.set)
            self._futures.add(future)
            future.add_done_callback(self._leaves_pool(segment, time.monotonic(), time.time(), place))
            await place.wait()

    async def _may_begin(self) -> None:
        one = self.handler
        if one.untaken.locked():
            one.connection.done()  # its own fault: not to be waited for by others
        one.to_blame += 1
        try:
            await one.untaken.acquire()
        finally:
            one.to_blame -= 1
        self._untaken += 1
        if self.task.failed:
            self._taken(self._untaken)

    def _taken(self, count: int = 1) -> None:
        count = min(count, self._untaken)  # none are left of one that has been dropped
        self._untaken -= count
        for _ in range(count):
            self.handler.untaken.release()

    def _leaves_pool(
        self, segment: Segment, queued: float, submitted: float, place: asyncio.Event
    ) -> Callable[[asyncio.Future[Recognized]], None]:
        def leaves(future: asyncio.Future[Recognized]) -> None:
            place.set()
            self._futures.discard(future)
            if future.cancelled():
                self.gateway.on_segment(self.task.id, segment, None, queued)
                return
            failure, kept = future.exception(), segment.without_audio()
            if failure is None:
                outcome = future.result()
                self.gateway.on_segment(self.task.id, segment, outcome, queued)
                self.task.came(Came(kept, submitted, outcome.heard, outcome.worker))
            else:
                gave_up = failure if isinstance(failure, RetriesExhausted) else RetriesExhausted(str(failure), 0)
                self.gateway.on_segment(self.task.id, segment, gave_up, queued)
                self.task.came(Came(kept, submitted, gave_up))
            self._news.set()

        return leaves

    async def _run(self) -> None:
        try:
            await self._deliver()
        except ServerError as error:
            await self._fail(str(error))
        except Disconnected:
            self._drop()  # handle() ends the rest
        except Exception as error:
            internal(f"task {self.task.id}", error)
            await self._fail(f"internal error ({type(error).__name__})")
        finally:
            self.task.done = True
            self._unbind()
            self.handler.forget(self.task)

    async def _deliver(self) -> None:
        while not self.task.complete:  # a cancellation that meets the end of `send` gets lost before Python 3.12
            self._news.clear()
            while (due := self.task.take()) is not None:
                await self._send(*due)
                self._taken()
            if not self.task.complete:
                await self._news.wait()

    async def _send(self, due: Came, merger: Merger) -> None:
        merged = merger.whole() if due.segment.last else merger.latest(round(self.gateway.limits.partial_s * RATE))
        if due.segment.last and self.gateway.punctuated:
            text, accurate = await self._punctuated(merged.text), await self._punctuated(merged.text_accu)
            merged = replace(merged, text=text, text_accu=accurate)
        await self.handler.send(encode_result(self.task.result(due, merged, time.time())))

    async def _punctuated(self, text: str) -> str:
        return (await self.gateway.pool.submit(text, self.flow)).heard.tokens[0]

    async def _fail(self, reason: str) -> None:
        self.gateway.say("failed", f"task {self.task.id}: {reason}")
        self._drop()
        with contextlib.suppress(Disconnected):
            await self.handler.send(encode_error(reason, self.task.id))

    def count_held(self) -> None:
        held = self.handler.session.bytes_of(self.task)
        self.gateway.held.add(held - self._held)
        self._held = held

    def _unbind(self) -> None:
        flow, self.flow = self.flow, None
        if flow is not None:
            self.gateway.pool.scheduler.end(flow)

    def cancel(self) -> None:
        self._drop()
        self._running.cancel()
        self._unbind()  # it may not have begun

    def _drop(self) -> None:
        self.task.fail()
        self._taken(self._untaken)  # wakes who feeds it
        self.count_held()
        self._news.set()
        for future in list(self._futures):
            future.cancel()


def internal(where: str, error: BaseException) -> None:
    """Log an unexpected exception: its type and place, without its message, which may hold recognized text.
    The traceback is for debug.log."""
    at = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {at[0].filename.rpartition('/')[2]}:{at[0].lineno}" if at else ""
    log.error("%s: internal error: %s%s", where, type(error).__name__, place, exc_info=error)
