"""The WebSocket gateway: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

A sender is slowed, never dropped: a segment needs a free slot of the bounded queue before the next message of its
connection is read, and TCP does the rest. But a ping stands behind the audio that is unread, and its sender gives up
when no answer comes; so a connection that waits for a worker is read from all the same, PACE bytes a second, as long
as the server has room for what it holds (see held.py). A client that does not take its results is slowed by itself,
and let go when that lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import traceback
from collections import deque
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
from capsexp.server.core.order import Flow
from capsexp.server.doorman import Door
from capsexp.server.held import Held
from capsexp.server.pools.base import GaveUp, Outcome, Pool
from capsexp.server.sparing import Sparing

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What the gateway needs of a WebSocket."""

    def __aiter__(self) -> AsyncIterable[str | bytes]: ...

    async def send(self, message: str) -> None: ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


SegmentDone = Callable[[str, Segment, "Outcome | GaveUp | None", float], None]
Due = tuple[Segment, float, "asyncio.Future[Outcome]"]
UNTAKEN = 64  # results that a client may be behind with, beyond what is at work, before it is read from no more
MAX_HELD_S = 3600.0  # of audio that a connection may have waiting for the rest of a segment (230 MB)
SAMPLE = 4  # bytes
TASK = 4096  # bytes that an unfinished task takes without any audio
OVERHEAD = 1024  # bytes of a message, however little it says
GRACE_S = 1.0  # that a message may wait for workers before its connection is read from all the same
PACE = 2**20  # bytes a second of such a connection: a client with all buffers full waits some ten seconds for a pong
LOOK_AGAIN_S = 0.5  # at a client that does not take its results
FINISHED = 256  # ids of tasks of a connection that ended, which are not to begin once more


@dataclass(frozen=True)
class Limits:
    """For one task, in seconds of audio; for one connection, tasks whose final message has not come; and how long, in
    seconds, a client may leave a result untaken; and of one segment, in seconds."""

    audio_s: float = 43_200.0
    tasks: int = 1000
    send_s: float = 120.0
    segment_s: float = math.inf


class Gateway:
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
        held: Held | None = None,
        say: Callable[[str, str], object] | None = None,
    ) -> None:
        self.punctuated = punctuated
        self.say = say or Sparing().say  # what clients cause: a line of a kind now and then, or they fill the log
        self.limits = limits or Limits()
        self.held = held or Held()
        self.pool = pool
        self.dispatch = dispatch
        self.max_untaken = max_queue + UNTAKEN  # segments of a connection that were begun and not delivered
        self.on_segment = on_segment
        self.sessions: dict[Door, _Session] = {}

    async def handle(self, connection: Connection, door: Door | None = None) -> None:
        """Serve one client until it leaves; what it left unfinished is taken out of the queue."""
        door = door or Door()
        session = _Session(self, connection, door)
        serving = asyncio.ensure_future(self._serve(connection, session, door))
        door.on_gone = serving.cancel
        self.sessions[door] = session
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
            self.sessions.pop(door, None)

    def abandon(self) -> None:
        """Let every client go that is still there: the server stops, and does not wait for what they sent."""
        for door in list(self.sessions):
            door.leave()

    async def farewell(self, reason: str, within_s: float) -> None:
        """Tell each task that is not finished why it will not be, and close every connection."""
        parting = [asyncio.ensure_future(session.farewell(reason)) for session in self.sessions.values()]
        if parting:
            _, late = await asyncio.wait(parting, timeout=within_s)
            for one in late:
                one.cancel()

    async def _serve(self, connection: Connection, session: _Session, door: Door) -> None:
        frames = connection.__aiter__()
        with contextlib.suppress(StopAsyncIteration):
            while True:
                frame = asyncio.ensure_future(frames.__anext__())  # type: ignore[attr-defined]
                try:
                    await asyncio.sleep(0)
                    if not frame.done():  # it is not there yet
                        door.arm(at_once=session.behind)
                    await frame
                finally:
                    frame.cancel()
                door.shut()
                size = len(frame.result())
                message = self._decode(frame.result())
                del frame  # nobody needs a minute of audio twice, nor for longer than it takes to hand it on
                session.put(message)
                del message
                await session.may_go_on(size)

    def _decode(self, frame: str | bytes) -> AudioMessage | ProtocolError:
        try:
            return decode_audio(frame, self.limits.segment_s)
        except ProtocolError as error:
            return error


class _Session:
    """The tasks of one connection, and its messages that wait for workers. A task that is finished is forgotten: a
    client that stays for days must not grow."""

    def __init__(self, gateway: Gateway, connection: Connection, door: Door) -> None:
        self.gateway, self.connection, self.door = gateway, connection, door
        self.tasks: dict[str, _Task] = {}
        self.finished: deque[int] = deque(maxlen=FINISHED)  # hashes of ids: the ids may be long
        self.open = 0  # tasks whose final message has not come
        self.untaken = asyncio.Semaphore(gateway.max_untaken)
        self.behind = False  # it is read from although messages wait
        self.to_blame = 0  # what waits for the client itself
        self._waiting: deque[tuple[AudioMessage | ProtocolError, int]] = deque()
        self._taking: asyncio.Task[None] | None = None

    def put(self, message: AudioMessage | ProtocolError) -> None:
        """A message that has come, to be taken after those before it."""
        size = OVERHEAD + (message.audio.nbytes if isinstance(message, AudioMessage) else 0)
        self.gateway.held.add(size)
        self._waiting.append((message, size))
        if self._taking is not None and self._taking.done():
            self._taking.result()
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_all())

    async def may_go_on(self, size: int) -> None:
        """Wait until the next message may come in, after one of `size` bytes; raises what taking one raised."""
        began = time.monotonic()
        if not (self.behind or self.door.hurried) and await self._taken_within(GRACE_S):
            self.door.done()
            return
        self.door.done()
        self.behind = True
        while not await self._taken_within(max(began + size / PACE - time.monotonic(), 0)):
            if self.to_blame:
                began, size = time.monotonic(), round(LOOK_AGAIN_S * PACE)
            elif not self.gateway.held.roomy.is_set():
                room = asyncio.ensure_future(self.gateway.held.roomy.wait())
                try:
                    await asyncio.wait({room, self._taking}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
                finally:
                    room.cancel()
            else:
                return
        self.behind = False

    async def _taken_within(self, seconds: float) -> bool:
        assert self._taking is not None
        if not self._taking.done():
            await asyncio.wait({self._taking}, timeout=seconds)
        if self._taking.done():
            self._taking.result()
            return True
        return False

    async def _take_all(self) -> None:
        while self._waiting:
            message, size = self._waiting.popleft()
            try:
                await self.take(message)
            finally:
                self.gateway.held.add(-size)
            del message

    async def take(self, message: AudioMessage | ProtocolError) -> None:
        """One message: whatever is wrong with it, the connection and its other tasks go on."""
        try:
            if isinstance(message, ProtocolError):
                raise message
            await self._feed(message)
        except ProtocolError as error:
            self.gateway.say("malformed", f"malformed message: {error}")
            await self.send(encode_error(str(error), error.task_id))

    async def send(self, text: str) -> None:
        """A message to the client, who is let go when it does not take it; raises ConnectionClosed."""
        self.to_blame += 1
        try:
            await asyncio.wait_for(self.connection.send(text), self.gateway.limits.send_s)
        except asyncio.TimeoutError:
            self.gateway.say(
                "untaken", f"a client took no result for {self.gateway.limits.send_s:g} s (server.send_timeout)"
            )
            self.door.drop()
            raise ConnectionClosedError(None, None) from None
        finally:
            self.to_blame -= 1

    async def farewell(self, reason: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            for task in list(self.tasks.values()):
                if not task.done:
                    task.cancel()
                    await self.connection.send(encode_error(reason, task.id))
            await self.connection.close(1001, reason)

    async def _feed(self, message: AudioMessage) -> None:
        task = self.tasks.get(message.task_id)
        if (task is not None and task.received_all) or (task is None and hash(message.task_id) in self.finished):
            raise ProtocolError(
                "this task has had its final message; begin another with a task_id of its own", message.task_id
            )
        if task is None:
            if self.open >= self.gateway.limits.tasks:
                raise ProtocolError(
                    f"{self.open} tasks of this connection wait for their final message (server.max_tasks)",
                    message.task_id,
                )
            if self.gateway.held.full:
                raise ProtocolError(self.gateway.held.reason, message.task_id)
            kind = _NaiveTask if self.gateway.dispatch == "naive" else _Task
            task = self.tasks[message.task_id] = kind(self, message, self._forget)
            self.open += 1
        try:
            # What still comes of a task that has failed must not begin a new one, and is dropped.
            if not task.failed:
                self._check(task, message)
                await task.feed(message)
        finally:
            task.count_held()
            if message.is_final:
                self.open -= 1
                task.received_all = True
                if task.done:
                    self._forget(task)

    def _check(self, task: _Task, message: AudioMessage) -> None:
        most, new, cut = self.gateway.limits.audio_s, len(message.audio), task.cut
        held = sum(t.cutter.held for t in self.tasks.values()) + min(new, cut.duration + 2 * cut.overlap)
        reason = ""
        if task.cutter.received + new > most * RATE:
            reason = f"more than server.max_audio_s = {most:g} s of audio in one task"
        elif held > MAX_HELD_S * RATE:
            reason = f"more than {MAX_HELD_S:g} s of audio of this connection wait for the rest of their segments"
        elif self.gateway.held.full:
            reason = self.gateway.held.reason
        if reason:
            task.cancel()
            raise ProtocolError(reason, message.task_id)

    def _forget(self, task: _Task) -> None:
        if task.received_all and self.tasks.get(task.id) is task:
            del self.tasks[task.id]
            task.count_held()
            self.finished.append(hash(task.id))

    def close(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            if self._taking.done() and not self._taking.cancelled():
                self._taking.exception()  # handle() knows of it, or of the connection's end
        self.gateway.held.add(-sum(size for _, size in self._waiting))
        self._waiting.clear()
        for task in list(self.tasks.values()):
            task.cancel()
        left = list(self.tasks.values())
        self.tasks.clear()
        for task in left:
            task.count_held()


class _Task:
    """One task of one connection: its cutter, its merger, and the segments on their way in order."""

    def __init__(self, session: _Session, first: AudioMessage, ended: Callable[[_Task], None]) -> None:
        self.session, self.gateway, self.ended = session, session.gateway, ended
        gateway = self.gateway
        self.id, self.time_start = first.task_id, first.time_start
        self.cut = Cut.of(first.seg_duration, first.seg_overlap)
        self.cutter = Cutter(self.cut)
        self.merger = Merger(self.cut)
        self.flow: Flow | None = gateway.pool.scheduler.flow(first.task_id, first.source == "mic")
        self.received_all = self.done = self.failed = False
        self.pending: asyncio.Queue[Due] = asyncio.Queue()
        self.untaken = 0
        self.held = 0  # bytes that wait for the rest of their segment
        self.sent_tokens, self.sent_times = Growing(), Growing()
        self.futures: set[asyncio.Future[Outcome]] = set()
        self.delivery = asyncio.create_task(self._run())

    async def feed(self, message: AudioMessage) -> None:
        self.received_all = message.is_final
        for segment in self.cutter.feed(message.audio, message.is_final):
            await self._may_begin()
            if self.failed:
                return
            place = asyncio.Event()
            future = self.gateway.pool.submit(segment, self.flow, place.set)
            self.futures.add(future)
            future.add_done_callback(self._leaves_pool(segment, time.monotonic(), place))
            self.pending.put_nowait((segment.without_audio(), time.time(), future))
            await place.wait()

    async def _may_begin(self) -> None:
        session = self.session
        if session.untaken.locked():
            session.door.done()  # its own fault: not to be waited for by others
        session.to_blame += 1
        try:
            await session.untaken.acquire()
        finally:
            session.to_blame -= 1
        self.untaken += 1
        if self.failed:
            self._taken(self.untaken)

    def _taken(self, count: int = 1) -> None:
        count = min(count, self.untaken)  # none are left of one that has been dropped
        self.untaken -= count
        for _ in range(count):
            self.session.untaken.release()

    def _leaves_pool(
        self, segment: Segment, queued: float, place: asyncio.Event
    ) -> Callable[[asyncio.Future[Outcome]], None]:
        def leaves(future: asyncio.Future[Outcome]) -> None:
            place.set()
            self.futures.discard(future)
            failure = None if future.cancelled() else future.exception()
            outcome = None if future.cancelled() else future.result() if failure is None else failure
            if isinstance(outcome, BaseException) and not isinstance(outcome, GaveUp):
                outcome = GaveUp(str(outcome), 0)
            self.gateway.on_segment(self.id, segment, outcome, queued)

        return leaves

    async def _run(self) -> None:
        try:
            await self._deliver()
        except ServerError as error:
            await self._fail(str(error))
        except ConnectionClosed:
            self._drop()  # handle() ends the rest
        except Exception as error:
            internal(f"task {self.id}", error)
            await self._fail(f"internal error ({type(error).__name__})")
        finally:
            self.done = True
            self._unbind()
            self.ended(self)

    async def _deliver(self) -> None:
        last = False
        while not (last or self.failed):  # a cancellation that meets the end of `send` gets lost before Python 3.12
            segment, submitted, future = await self.pending.get()
            outcome = await future
            self.merger.add(segment.start, segment.last, outcome.heard)
            await self._send(segment, submitted, self.merger)
            self._taken()
            last = segment.last

    async def _send(self, segment: Segment, submitted: float, merger: Merger) -> None:
        duration = (segment.start + segment.length) / RATE
        text, accurate = merger.text, merger.text_accu
        if segment.last and self.gateway.punctuated:
            text, accurate = await self._punctuated(text), await self._punctuated(accurate)
        result = Result(
            self.id, segment.last, duration, self.time_start, submitted, time.time(),
            text, accurate, merger.tokens, merger.times, merger.tags,
        )  # fmt: skip
        lists = (self.sent_tokens, self.sent_times) if merger is self.merger else (Growing(), Growing())
        await self.session.send(encode_result(result, *lists))

    async def _punctuated(self, text: str) -> str:
        return (await self.gateway.pool.submit(text, self.flow)).heard.tokens[0]

    async def _fail(self, reason: str) -> None:
        self.gateway.say("failed", f"task {self.id}: {reason}")
        self._drop()
        with contextlib.suppress(ConnectionClosed):
            await self.session.send(encode_error(reason, self.id))

    def count_held(self) -> None:
        held = SAMPLE * self.cutter.held + (TASK if self.session.tasks.get(self.id) is self else 0)
        self.gateway.held.add(held - self.held)
        self.held = held

    def _unbind(self) -> None:
        flow, self.flow = self.flow, None
        if flow is not None:
            self.gateway.pool.scheduler.end(flow)

    def cancel(self) -> None:
        self._drop()
        self.delivery.cancel()
        self._unbind()  # it may not have begun

    def _drop(self) -> None:
        self.failed = self.done = True
        self._taken(self.untaken)  # wakes who feeds it
        self.cutter.drop()
        self.count_held()
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


def internal(where: str, error: BaseException) -> None:
    """An exception of ours: a line that says where it was raised, as its message may hold what was said; the whole of
    it for those who look for it."""
    at = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {at[0].filename.rpartition('/')[2]}:{at[0].lineno}" if at else ""
    log.error("%s: internal error: %s%s", where, type(error).__name__, place)
    log.debug("%s", where, exc_info=error)
