"""The WebSocket gateway: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

A sender is slowed, never dropped: a segment needs a free slot of the bounded queue before the next message of its
connection is read, and TCP does the rest. But a ping stands behind the audio that is unread, and its sender gives up
when no answer comes; so a connection that waits for a worker is read from all the same, PACE bytes a second, as long
as the server has room for what it holds (see memory_budget.py). A client that does not take its results is slowed by
itself, and let go when that lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from capsexp.protocol import AudioMessage, ProtocolError, decode_audio
from capsexp.server.connection_handler import Connection, ConnectionHandler
from capsexp.server.core.session import Limits
from capsexp.server.delivery import SegmentDone
from capsexp.server.log_limit import LogLimit
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.permit import Permit
from capsexp.server.pools.base import Pool

UNTAKEN = 64  # results that a client may be behind with, beyond what is at work, before it is read from no more


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
        held: MemoryBudget | None = None,
        say: Callable[[str, str], object] | None = None,
    ) -> None:
        self.punctuated = punctuated
        self.say = say or LogLimit().say  # what clients cause: a line of a kind now and then, or they fill the log
        self.limits = limits or Limits()
        self.held = held or MemoryBudget()
        self.pool = pool
        self.dispatch = dispatch
        self.max_untaken = max_queue + UNTAKEN  # segments of a connection that were begun and not delivered
        self.on_segment = on_segment
        self.handlers: dict[Permit, ConnectionHandler] = {}

    async def handle(self, connection: Connection, permit: Permit | None = None) -> None:
        """Serve one client until it leaves; what it left unfinished is taken out of the queue."""
        permit = permit or Permit()
        handler = ConnectionHandler(self, connection, permit)
        serving = asyncio.ensure_future(self._serve(connection, handler, permit))
        permit.on_gone = serving.cancel
        self.handlers[permit] = handler
        try:
            await serving
        except ConnectionClosed:
            pass
        except asyncio.CancelledError:
            if not permit.gone:
                raise
            permit.drop()
        finally:
            serving.cancel()
            handler.close()
            permit.close()
            self.handlers.pop(permit, None)

    def abandon(self) -> None:
        """Let every client go that is still there: the server stops, and does not wait for what they sent."""
        for permit in list(self.handlers):
            permit.leave()

    async def farewell(self, reason: str, within_s: float) -> None:
        """Tell each task that is not finished why it will not be, and close every connection."""
        parting = [asyncio.ensure_future(handler.farewell(reason)) for handler in self.handlers.values()]
        if parting:
            _, late = await asyncio.wait(parting, timeout=within_s)
            for one in late:
                one.cancel()

    async def _serve(self, connection: Connection, handler: ConnectionHandler, permit: Permit) -> None:
        frames = connection.__aiter__()
        with contextlib.suppress(StopAsyncIteration):
            while True:
                frame = asyncio.ensure_future(frames.__anext__())  # type: ignore[attr-defined]
                try:
                    await asyncio.sleep(0)
                    if not frame.done():  # it is not there yet
                        permit.resume_reading(at_once=handler.behind)
                    await frame
                finally:
                    frame.cancel()
                permit.pause_reading()
                size = len(frame.result())
                message = self._decode(frame.result())
                del frame  # nobody needs a minute of audio twice, nor for longer than it takes to hand it on
                handler.put(message)
                del message
                await handler.may_go_on(size)

    def _decode(self, frame: str | bytes) -> AudioMessage | ProtocolError:
        try:
            return decode_audio(frame, self.limits.segment_s)
        except ProtocolError as error:
            return error
