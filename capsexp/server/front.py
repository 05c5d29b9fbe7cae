"""The WebSocket front: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

A sender is slowed, never dropped: a segment needs a free slot of the bounded queue before the next message of its
connection is read, and TCP does the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterable, Callable
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from capsexp.errors import ServerError
from capsexp.protocol import RATE, AudioMessage, ProtocolError, Result, decode_audio, encode_error, encode_result
from capsexp.segments import Cut, Cutter, Merger, Segment
from capsexp.server.pools.base import Outcome, Pool

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What the front needs of a WebSocket."""

    def __aiter__(self) -> AsyncIterable[str | bytes]: ...

    async def send(self, message: str) -> None: ...


SegmentDone = Callable[[str, Segment, "Outcome | None", float], None]


class Front:
    """`on_segment(task_id, segment, outcome or None, queued)` is told of every segment that leaves the pool."""

    def __init__(
        self, pool: Pool, dispatch: str, max_queue: int, on_segment: SegmentDone, punctuated: bool = False
    ) -> None:
        self.punctuated = punctuated
        self.pool = pool
        self.dispatch = dispatch
        self.slots = asyncio.Semaphore(max_queue)
        self.tasks_on: Counter[int] = Counter()  # unfinished tasks per worker, for dispatch=task
        self.on_segment = on_segment

    async def handle(self, connection: Connection) -> None:
        """Serve one client until it leaves; what it left unfinished is taken out of the queue."""
        tasks: dict[str, _Task] = {}
        try:
            async for frame in connection:  # type: ignore[attr-defined]
                try:
                    message = decode_audio(frame)
                    await self._feed(connection, tasks, message)
                except ProtocolError as error:
                    log.warning("malformed message: %s", error)
                    await connection.send(encode_error(str(error), error.task_id))
        except ConnectionClosed:
            pass
        finally:
            for task in tasks.values():
                task.cancel()

    async def _feed(self, connection: Connection, tasks: dict[str, _Task], message: AudioMessage) -> None:
        # A finished task id may be used again; a message for one that failed must not begin a new task.
        task = tasks.get(message.task_id)
        if task is None or task.received_all:
            if task is not None and not task.done:
                raise ProtocolError("this task has had its final message", message.task_id)
            kind = _NaiveTask if self.dispatch == "naive" else _Task
            task = tasks[message.task_id] = kind(self, connection, message)
        await task.feed(message)

    def worker_for(self, task_id: str) -> int | None:
        """The worker a task is bound to; None for any."""
        count = len(self.pool.workers())
        if self.dispatch == "hash":
            return zlib.crc32(task_id.encode()) % count
        if self.dispatch == "task":
            return min(range(count), key=lambda worker: (self.tasks_on[worker], worker))
        return None


class _Task:
    """One task of one connection: its cutter, its merger, and the segments on their way in order."""

    def __init__(self, front: Front, connection: Connection, first: AudioMessage) -> None:
        self.front, self.connection = front, connection
        self.id, self.time_start = first.task_id, first.time_start
        self.cut = Cut.of(first.seg_duration, first.seg_overlap)
        self.cutter = Cutter(self.cut)
        self.merger = Merger(self.cut)
        self.worker = front.worker_for(first.task_id)
        if self.worker is not None:
            front.tasks_on[self.worker] += 1
        self.received_all = self.done = self.failed = False
        self.pending: asyncio.Queue[tuple[Segment, float, asyncio.Future[Outcome]]] = asyncio.Queue()
        self.futures: set[asyncio.Future[Outcome]] = set()
        self.delivery = asyncio.create_task(self._deliver())

    async def feed(self, message: AudioMessage) -> None:
        self.received_all = message.is_final
        for segment in self.cutter.feed(message.audio, message.is_final):
            await self.front.slots.acquire()
            if self.failed:
                self.front.slots.release()
                return
            future = self.front.pool.submit(segment, self.worker)
            self.futures.add(future)
            future.add_done_callback(self._leaves_pool(segment, time.monotonic()))
            self.pending.put_nowait((segment, time.time(), future))

    def _leaves_pool(self, segment: Segment, queued: float) -> Callable[[asyncio.Future[Outcome]], None]:
        def leaves(future: asyncio.Future[Outcome]) -> None:
            self.front.slots.release()
            self.futures.discard(future)
            outcome = None if future.cancelled() or future.exception() else future.result()
            self.front.on_segment(self.id, segment, outcome, queued)

        return leaves

    async def _deliver(self) -> None:
        try:
            while not self.done:
                segment, submitted, future = await self.pending.get()
                outcome = await future
                self.merger.add(segment.start, segment.last, outcome.heard)
                await self._send(segment, submitted, self.merger)
                self.done = segment.last
        except ServerError as error:
            await self._fail(error)
        except ConnectionClosed:
            pass  # handle() cancels the rest
        finally:
            self._unbind()

    async def _send(self, segment: Segment, submitted: float, merger: Merger) -> None:
        duration = (segment.start + len(segment.audio)) / RATE
        text, accurate = merger.text, merger.text_accu
        if segment.last and self.front.punctuated:
            text, accurate = await self._punctuated(text), await self._punctuated(accurate)
        result = Result(
            self.id, segment.last, duration, self.time_start, submitted, time.time(),
            text, accurate, merger.tokens, merger.times, merger.tags,
        )  # fmt: skip
        await self.connection.send(encode_result(result))

    async def _punctuated(self, text: str) -> str:
        return (await self.front.pool.submit(text, self.worker)).heard.tokens[0]

    async def _fail(self, error: ServerError) -> None:
        self.failed = self.done = True
        log.error("task %s: %s", self.id, error)
        for future in list(self.futures):
            future.cancel()
        with contextlib.suppress(ConnectionClosed):
            await self.connection.send(encode_error(str(error), self.id))

    def _unbind(self) -> None:
        if self.worker is not None:
            self.front.tasks_on[self.worker] -= 1
            self.worker = None

    def cancel(self) -> None:
        self.failed = True
        self.delivery.cancel()
        for future in list(self.futures):
            future.cancel()


class _NaiveTask(_Task):
    """The negative control: each worker merges what it happened to get and answers when it is done, as happens when
    N recognizer processes are put behind one shared queue without further thought."""

    async def _deliver(self) -> None:
        mergers: dict[int, Merger] = {}
        answers: set[asyncio.Task[None]] = set()
        try:
            while True:
                segment, submitted, future = await self.pending.get()
                answers.add(asyncio.create_task(self._answer(segment, submitted, future, mergers)))
                if segment.last:
                    break
            await asyncio.gather(*answers)
            self.done = True
        except ServerError as error:
            await self._fail(error)
        except ConnectionClosed:
            pass
        finally:
            for answer in answers:
                answer.cancel()

    async def _answer(
        self, segment: Segment, submitted: float, future: asyncio.Future[Outcome], mergers: dict[int, Merger]
    ) -> None:
        outcome = await future
        merger = mergers.setdefault(outcome.worker, Merger(self.cut))
        merger.add(segment.start, segment.last, outcome.heard)
        await self._send(segment, submitted, merger)
