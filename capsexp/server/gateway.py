"""The WebSocket gateway: cuts each task's audio, hands segments to the pool, merges results in order and sends them.

Back-pressure: a sender is slowed, never dropped. A segment needs a place in the bounded queue before the next message
of its connection is read; TCP's flow control does the rest. But a ping queues behind the unread audio, and a client
that gets no pong in time closes the connection. So a connection that waits for a worker is still read, at PACE bytes
per second, as long as the server has memory for what it holds (see memory_budget.py). A client that does not read its
results is slowed as well, and disconnected after server.send_timeout.
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

UNTAKEN = 64  # undelivered results, beyond those of the queue, above which a client is no longer read


class Gateway:
    """`on_segment(task_id, segment, outcome, queued)` is called for every segment that leaves the pool. `outcome`: a
    Recognized, a RetriesExhausted, or None for one that was cancelled; `queued`: time.monotonic() of its submission."""

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
        except Disconnected as left:
            left.__traceback__ = None  # its frames hold the connection, which holds the task that it ended
        except asyncio.CancelledError:
            if not connection.gone:
                raise
            connection.drop()
        finally:
            serving.cancel()
            handler.close()
            connection.done()
            connection.on_gone = _nothing
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
            return ProtocolError(str(error), error.task_id)  # the frames of the one that was raised hold the message


def _nothing() -> None: ...
