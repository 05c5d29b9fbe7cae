"""A connection of websockets with bounds on all its buffers: received, outgoing, and pongs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event

from capsexp.server.memory_budget import MemoryBudget

DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
PONG = bytes([0x80 | Opcode.PONG])  # how such a frame of a server begins
FAREWELL_S = 1.0  # for a client that is turned away to read why


class Bounded(ServerConnection):
    """It does not keep its last message: websockets' parser holds on to it until the next one comes, megabytes for each
    client that has sent its file and waits. What has come and was not taken counts as held. To one that does not read,
    the pong of the latest ping alone is kept (RFC 6455, 5.5.3)."""

    def __init__(
        self, held: MemoryBudget, on_lost: Callable[[ServerConnection], None], *arguments: Any, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.lost = False  # `on_lost` has been called; its request may still be looked at
        self.unread = 0
        self._held, self._on_lost = held, on_lost
        self._untaken: deque[Frame] = deque()
        self._waiting = 0  # bytes of these
        self._pong: bytes | None = None

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode in DATA:
            self._untaken.append(event)
            self._waiting += len(event.data)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._count()

    async def recv(self, *arguments: Any, **options: Any) -> Any:
        message = await super().recv(*arguments, **options)
        while self._untaken:
            frame = self._untaken.popleft()
            self._waiting -= len(frame.data)
            frame.data = b""
            if frame.fin:
                break
        self._count()
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost = True
        self._forget()
        self._on_lost(self)

    def send_data(self) -> None:
        if self.paused:
            writes = self.protocol.data_to_send()
            pongs = [data for data in writes if data[:1] == PONG]
            if pongs:
                self._pong = pongs[-1]
            self.protocol.writes = [data for data in writes if data[:1] != PONG]
        super().send_data()

    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._pong = self._pong, None
        if pong is not None and not self.transport.is_closing() and not self.protocol.eof_sent:
            self.transport.write(pong)

    def turn_away(self, reason: str) -> None:
        """Take no more of it, and say why."""
        self.protocol.fail(CloseCode.TRY_AGAIN_LATER, reason[:120])
        self.send_data()
        self._forget()
        self.loop.call_later(FAREWELL_S, self.transport.abort)

    def _count(self) -> None:
        size = self._waiting + len(self.protocol.reader.buffer)
        if size != self.unread and not self.protocol.eof_sent:
            self._held.unread(self, size)

    def _forget(self) -> None:
        self._untaken.clear()
        self._waiting = 0
        self.protocol.reader.discard()
        self._held.unread(self, 0)
