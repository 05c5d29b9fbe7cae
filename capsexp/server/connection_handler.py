"""Handles one connection: reads messages while workers have room, and sends results."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from capsexp.protocol import AudioMessage, ProtocolError, encode_error
from capsexp.server.connection import Connection, Disconnected
from capsexp.server.core.session import Session
from capsexp.server.core.task import NaiveTask, Task
from capsexp.server.delivery import Delivery

if TYPE_CHECKING:
    from capsexp.server.gateway import Gateway

OVERHEAD = 1024  # bytes that a waiting message counts as, besides its audio
GRACE_S = 1.0  # s that a message waits for workers before its connection is read further nevertheless
PACE = 2**20  # bytes per second that are read then: with all buffers full, a pong takes some ten seconds
LOOK_AGAIN_S = 0.5  # s between two looks at a client that does not read its results


class ConnectionHandler:
    """One connection: its messages, which wait for workers, and its results, which wait to be taken."""

    def __init__(self, gateway: Gateway, connection: Connection) -> None:
        self.gateway, self.connection = gateway, connection
        self.session = Session(gateway.limits, NaiveTask if gateway.dispatch == "naive" else Task)
        self.deliveries: dict[Task, Delivery] = {}
        self.untaken = asyncio.Semaphore(gateway.max_untaken)
        self.behind = False  # it is read from although messages wait
        self.to_blame = 0  # operations that wait until this client reads its results
        self._waiting: list[tuple[AudioMessage | ProtocolError, int]] = []
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
        if not (self.behind or self.connection.hurried) and await self._taken_within(GRACE_S):
            self.connection.done()
            return
        self.connection.done()
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
            message, size = self._waiting.pop(0)
            try:
                await self.take(message)
            finally:
                self.gateway.held.add(-size)
            del message

    async def take(self, message: AudioMessage | ProtocolError) -> None:
        """One message: whatever is wrong with it, the connection and its other tasks go on."""
        if isinstance(message, ProtocolError):
            await self._refuse(message)
            return
        try:
            await self._feed(message)
        except ProtocolError as error:
            await self._refuse(error)

    async def _refuse(self, error: ProtocolError) -> None:
        self.gateway.say("malformed", f"malformed message: {error}")
        await self.send(encode_error(str(error), error.task_id))

    async def send(self, text: str) -> None:
        """A message to the client, who is let go when it does not take it; raises Disconnected."""
        self.to_blame += 1
        try:
            await asyncio.wait_for(self.connection.send(text), self.gateway.limits.send_s)
        except asyncio.TimeoutError:
            self.gateway.say(
                "untaken", f"a client took no result for {self.gateway.limits.send_s:g} s (server.send_timeout)"
            )
            self.connection.drop()
            raise Disconnected from None
        finally:
            self.to_blame -= 1

    async def farewell(self, reason: str) -> None:
        with contextlib.suppress(Disconnected):
            for task, delivery in list(self.deliveries.items()):
                if not task.done:
                    delivery.cancel()
                    await self.connection.send(encode_error(reason, task.id))
            await self.connection.close(1001, reason)

    async def _feed(self, message: AudioMessage) -> None:
        refusal = self.gateway.held.reason if self.gateway.held.full else None
        task = self.session.take(message, refusal)
        if task not in self.deliveries:
            self.deliveries[task] = Delivery(self, task)
        delivery = self.deliveries[task]
        try:
            # What still comes of a task that has failed must not begin a new one, and is dropped.
            if not task.failed:
                if reason := self.session.excess(task, message, refusal):
                    delivery.cancel()
                    raise ProtocolError(reason, message.task_id)
                await delivery.feed(message)
        finally:
            delivery.count_held()
            self.session.taken(task, message)
            self.forget(task)

    def forget(self, task: Task) -> None:
        """If it is finished."""
        self.session.forget(task)
        if self.session.tasks.get(task.id) is not task and task in self.deliveries:
            self.deliveries.pop(task).count_held()

    def close(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            if self._taking.done() and not self._taking.cancelled():
                self._taking.exception()  # handle() knows of it, or of the connection's end
            self._taking = None  # it holds this handler
        self.gateway.held.add(-sum(size for _, size in self._waiting))
        self._waiting.clear()
        deliveries = list(self.deliveries.values())
        for delivery in deliveries:
            delivery.cancel()
        self.session.tasks.clear()
        self.deliveries.clear()
        for delivery in deliveries:
            delivery.count_held()
