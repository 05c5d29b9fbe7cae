"""The WebSocket gateway: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

A sender is slowed, never dropped: a segment needs a free slot of the bounded queue before the next message of its
connection is read, and TCP does the rest. But a ping stands behind the audio that is unread, and its sender gives up
when no answer comes; so a connection that waits for a worker is read from all the same, PACE bytes a second, as long
as the server has room for what it holds (see memory_budget.py). A client that does not take its results is slowed by
itself, and let go when that lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from capsexp.protocol import AudioMessage, ProtocolError, decode_audio
from capsexp.server.connection import Connection, Disconnected
from capsexp.server.connection_handler import ConnectionHandler
from capsexp.server.core.session import Limits
from capsexp.server.delivery import SegmentDone
from capsexp.server.log_limit import LogLimit
from capsexp.server.memory_budget import MemoryBudget
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
        self.handlers: dict[Connection, ConnectionHandler] = {}

    async def handle(self, connection: Connection) -> None:
        """Serve one client until it leaves; what it left unfinished is taken out of the queue."""
        handler = ConnectionHandler(self, connection)
        serving = asyncio.ensure_future(self._serve(connection, handler))
        connection.on_gone = serving.cancel
        self.handlers[connection] = handler
        try:
            await serving
        except Disconnected:
            pass
        except asyncio.CancelledError:
            if not connection.gone:
                raise
            connection.drop()
        finally:
            serving.cancel()
            handler.close()
            connection.done()
            self.handlers.pop(connection, None)

    def abandon(self) -> None:
        """Let every client go that is still there: the server stops, and does not wait for what they sent."""
        for connection in list(self.handlers):
            connection.leave()

    async def farewell(self, reason: str, within_s: float) -> None:
        """Tell each task that is not finished why it will not be, and close every connection."""
        parting = [asyncio.ensure_future(handler.farewell(reason)) for handler in self.handlers.values()]
        if parting:
            _, late = await asyncio.wait(parting, timeout=within_s)
            for one in late:
                one.cancel()

    async def _serve(self, connection: Connection, handler: ConnectionHandler) -> None:
        while True:
            frame = await connection.receive(at_once=handler.behind)
            size, message = len(frame), self._decode(frame)
            del frame  # nobody needs a minute of audio twice, nor for longer than it takes to hand it on
            handler.put(message)
            del message
            await handler.may_go_on(size)

    def _decode(self, frame: str | bytes) -> AudioMessage | ProtocolError:
        try:
            return decode_audio(frame, self.limits.segment_s)
        except ProtocolError as error:
            return error
