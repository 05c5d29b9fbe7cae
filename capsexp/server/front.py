"""The WebSocket front: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

A sender is slowed, never dropped: a segment needs a free slot of the bounded queue before the next message of its
connection is read, and TCP does the rest. A client that does not take its results is slowed by itself, and let go when
that lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Protocol

from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from capsexp.errors import ServerError
from capsexp.protocol import (
    RATE,
    AudioMessage,
    Growing,
    ProtocolError,
    Result,
    decode_audio,
    encode_error,
    encode_result,
)
from capsexp.segments import Cut, Cutter, Merger, Segment
from capsexp.server.doorman import Door
from capsexp.server.pools.base import GaveUp, Outcome, Pool

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What the front needs of a WebSocket."""

    def __aiter__(self) -> AsyncIterable[str | bytes]: ...

    async def send(self, message: str) -> None: ...


SegmentDone = Callable[[str, Segment, "Outcome | GaveUp | None", float], None]
Due = tuple[Segment, float, "asyncio.Future[Outcome]"]
UNTAKEN = 64  # results that a client may be behind with, beyond what is at work, before it is read from no more
MAX_HELD_S = 3600.0  # of audio that a connection may have waiting for the rest of a segment (230 MB)


@dataclass(frozen=True)
class Limits:
    """For one task, in seconds of audio; for one connection, tasks whose final message has not come; and how long, in
    seconds, a client may leave a result untaken."""

    audio_s: float = 43_200.0
    tasks: int = 1000
    send_s: float = 120.0


class Front:
    """`on_segment(task_id, segment, outcome, queued)` is told of every segment that leaves the pool: recognized, given
    up, or None when nobody wants it any more."""

    def __init__(
        self,
        pool: Pool,
        dispatch: str,
        max_queue: int,
        on_segment: SegmentDone,
        punctuated: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.punctuated = punctuated
        self.limits = limits or Limits()
        self.pool = pool
        self.dispatch = dispatch
        self.slots = asyncio.Semaphore(max_queue)
        self.max_untaken = max_queue + UNTAKEN  # segments of a connection that were begun and not delivered
        self.tasks_on: Counter[int] = Counter()  # unfinished tasks per worker, for dispatch=task
        self.on_segment = on_segment
        self.doors: set[Door] = set()

    async def handle(self, connection: Connection, door: Door | None = None) -> None:
        """Serve one client until it leaves; what it left unfinished is taken out of the queue."""
        door = door or Door()
        session = _Session(self, connection, door)
        serving = asyncio.ensure_future(self._serve(connection, session, door))
        door.on_gone = serving.cancel
        self.doors.add(door)
        try:
            await serving
        except ConnectionClosed:
            pass
        except asyncio.CancelledError:
            if not door.gone:
                raise
            door.drop()
        finally:
            serving.cancel()
            session.close()
            door.close()
            self.doors.discard(door)

    def abandon(self) -> None:
        """Let every client go that is still there: the server stops, and does not wait for what they sent."""
        for door in list(self.doors):
            door.leave()

    async def _serve(self, connection: Connection, session: _Session, door: Door) -> None:
        frames = connection.__aiter__()
        with contextlib.suppress(StopAsyncIteration):
            while True:
                frame = asyncio.ensure_future(frames.__anext__())  # type: ignore[attr-defined]
                try:
                    await asyncio.sleep(0)
                    if not frame.done():  # it is not there yet
                        door.arm()
                    await frame
                finally:
                    frame.cancel()
                door.shut()
                message = _decode(frame.result())
                del frame  # nobody needs a minute of audio twice, nor for longer than it takes to hand it on
                await session.take(message)
                del message
                door.done()

    def worker_for(self, task_id: str) -> int | None:
        """The worker a task is bound to; None for any."""
        count = len(self.pool.workers())
        if self.dispatch == "hash":
            return zlib.crc32(task_id.encode()) % count
        if self.dispatch == "task":
            return min(range(count), key=lambda worker: (self.tasks_on[worker], worker))
        return None


def _decode(frame: str | bytes) -> AudioMessage | ProtocolError:
    try:
        return decode_audio(frame)
    except ProtocolError as error:
        return error


class _Session:
    """The tasks of one connection. One that is finished is forgotten: a client that stays for days must not grow."""

    def __init__(self, front: Front, connection: Connection, door: Door) -> None:
        self.front, self.connection, self.door = front, connection, door
        self.tasks: dict[str, _Task] = {}
        self.open = 0  # tasks whose final message has not come
        self.malformed = 0
        self.untaken = asyncio.Semaphore(front.max_untaken)

    async def take(self, message: AudioMessage | ProtocolError) -> None:
        """One message: whatever is wrong with it, the connection and its other tasks go on."""
        try:
            if isinstance(message, ProtocolError):
                raise message
            await self._feed(message)
        except ProtocolError as error:
            self.malformed += 1
            if self.malformed == 1:  # a client must not be able to fill our log
                log.warning("malformed message: %s", error)
            await self.send(encode_error(str(error), error.task_id))

    async def send(self, text: str) -> None:
        """A message to the client, who is let go when it does not take it; raises ConnectionClosed."""
        try:
            await asyncio.wait_for(self.connection.send(text), self.front.limits.send_s)
        except asyncio.TimeoutError:
            log.warning("a client took no result for %g s (server.send_timeout)", self.front.limits.send_s)
            self.door.drop()
            raise ConnectionClosedError(None, None) from None

    async def _feed(self, message: AudioMessage) -> None:
        task = self.tasks.get(message.task_id)
        if task is not None and task.received_all:
            raise ProtocolError("this task has had its final message", message.task_id)
        if task is None:
            if self.open >= self.front.limits.tasks:
                raise ProtocolError(
                    f"{self.open} tasks of this connection wait for their final message (server.max_tasks)",
                    message.task_id,
                )
            kind = _NaiveTask if self.front.dispatch == "naive" else _Task
            task = self.tasks[message.task_id] = kind(self, message, self._forget)
            self.open += 1
        try:
            # What still comes of a task that has failed must not begin a new one, and is dropped.
            if not task.failed:
                self._check(task, message)
                await task.feed(message)
        finally:
            if message.is_final:
                self.open -= 1
                task.received_all = True
                if task.done:
                    self._forget(task)

    def _check(self, task: _Task, message: AudioMessage) -> None:
        most, new, cut = self.front.limits.audio_s, len(message.audio), task.cut
        held = sum(t.cutter.held for t in self.tasks.values()) + min(new, cut.duration + 2 * cut.overlap)
        reason = ""
        if task.cutter.received + new > most * RATE:
            reason = f"more than server.max_audio_s = {most:g} s of audio in one task"
        elif held > MAX_HELD_S * RATE:
            reason = f"more than {MAX_HELD_S:g} s of audio of this connection wait for the rest of their segments"
        if reason:
            task.cancel()
            raise ProtocolError(reason, message.task_id)

    def _forget(self, task: _Task) -> None:
        if task.received_all and self.tasks.get(task.id) is task:
            del self.tasks[task.id]

    def close(self) -> None:
        for task in list(self.tasks.values()):
            task.cancel()
        if self.malformed > 1:
            log.warning("%d malformed messages of one connection", self.malformed)


class _Task:
    """One task of one connection: its cutter, its merger, and the segments on their way in order."""

    def __init__(self, session: _Session, first: AudioMessage, ended: Callable[[_Task], None]) -> None:
        self.session, self.front, self.ended = session, session.front, ended
        front = self.front
        self.id, self.time_start = first.task_id, first.time_start
        self.cut = Cut.of(first.seg_duration, first.seg_overlap)
        self.cutter = Cutter(self.cut)
        self.merger = Merger(self.cut)
        self.worker = front.worker_for(first.task_id)
        if self.worker is not None:
            front.tasks_on[self.worker] += 1
        self.received_all = self.done = self.failed = False
        self.pending: asyncio.Queue[Due] = asyncio.Queue()
        self.untaken = 0
        self.sent_tokens, self.sent_times = Growing(), Growing()
        self.futures: set[asyncio.Future[Outcome]] = set()
        self.delivery = asyncio.create_task(self._run())

    async def feed(self, message: AudioMessage) -> None:
        self.received_all = message.is_final
        for segment in self.cutter.feed(message.audio, message.is_final):
            await self._may_begin()
            await self.front.slots.acquire()
            if self.failed:
                self.front.slots.release()
                return
            future = self.front.pool.submit(segment, self.worker)
            self.futures.add(future)
            future.add_done_callback(self._leaves_pool(segment, time.monotonic()))
            self.pending.put_nowait((segment.without_audio(), time.time(), future))

    async def _may_begin(self) -> None:
        if self.session.untaken.locked():
            self.session.door.done()  # its own fault: not to be waited for by others
        await self.session.untaken.acquire()
        self.untaken += 1
        if self.failed:
            self._taken(self.untaken)

    def _taken(self, count: int = 1) -> None:
        count = min(count, self.untaken)  # none are left of one that has been dropped
        self.untaken -= count
        for _ in range(count):
            self.session.untaken.release()

    def _leaves_pool(self, segment: Segment, queued: float) -> Callable[[asyncio.Future[Outcome]], None]:
        def leaves(future: asyncio.Future[Outcome]) -> None:
            self.front.slots.release()
            self.futures.discard(future)
            failure = None if future.cancelled() else future.exception()
            outcome = None if future.cancelled() else future.result() if failure is None else failure
            if isinstance(outcome, BaseException) and not isinstance(outcome, GaveUp):
                outcome = GaveUp(str(outcome), 0)
            self.front.on_segment(self.id, segment, outcome, queued)

        return leaves

    async def _run(self) -> None:
        try:
            await self._deliver()
        except ServerError as error:
            await self._fail(str(error))
        except ConnectionClosed:
            self._drop()  # handle() ends the rest
        except Exception as error:  # ours; never silence, and its message may hold what was said
            await self._fail(f"internal error ({type(error).__name__})")
        finally:
            self.done = True
            self._unbind()
            self.ended(self)

    async def _deliver(self) -> None:
        last = False
        while not last:
            segment, submitted, future = await self.pending.get()
            outcome = await future
            self.merger.add(segment.start, segment.last, outcome.heard)
            await self._send(segment, submitted, self.merger)
            self._taken()
            last = segment.last

    async def _send(self, segment: Segment, submitted: float, merger: Merger) -> None:
        duration = (segment.start + segment.length) / RATE
        text, accurate = merger.text, merger.text_accu
        if segment.last and self.front.punctuated:
            text, accurate = await self._punctuated(text), await self._punctuated(accurate)
        result = Result(
            self.id, segment.last, duration, self.time_start, submitted, time.time(),
            text, accurate, merger.tokens, merger.times, merger.tags,
        )  # fmt: skip
        lists = (self.sent_tokens, self.sent_times) if merger is self.merger else (Growing(), Growing())
        await self.session.send(encode_result(result, *lists))

    async def _punctuated(self, text: str) -> str:
        return (await self.front.pool.submit(text, self.worker)).heard.tokens[0]

    async def _fail(self, reason: str) -> None:
        log.error("task %s: %s", self.id, reason)
        self._drop()
        with contextlib.suppress(ConnectionClosed):
            await self.session.send(encode_error(reason, self.id))

    def _unbind(self) -> None:
        if self.worker is not None:
            self.front.tasks_on[self.worker] -= 1
            self.worker = None

    def cancel(self) -> None:
        self._drop()
        self.delivery.cancel()
        self._unbind()  # it may not have begun

    def _drop(self) -> None:
        self.failed = self.done = True
        self._taken(self.untaken)  # wakes who feeds it
        self.cutter.drop()
        for future in list(self.futures):
            future.cancel()


class _NaiveTask(_Task):
    """The negative control: each worker merges what it happened to get and answers when it is done, as happens when
    N recognizer processes are put behind one shared queue without further thought."""

    async def _deliver(self) -> None:
        mergers: dict[int, Merger] = {}
        answers: set[asyncio.Task[None]] = set()
        try:
            last = False
            while not last:
                segment, submitted, future = await self.pending.get()
                answers.add(asyncio.create_task(self._answer(segment, submitted, future, mergers)))
                last = segment.last
            await asyncio.gather(*answers)
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
        self._taken()
