"""One WebSocket connection: websockets' Sans-I/O protocol on an asyncio transport. The transport is read only while the
handler waits for a message; of a large one only the frame's head is read before its turn has come.

Bytes received and not yet taken count as held (see memory_budget.py); a connection that is closing keeps none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from websockets.frames import CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from capsexp.server.connection import Disconnected
from capsexp.server.departures import Departures
from capsexp.server.flag import Flag
from capsexp.server.inbox import AHEAD, Inbox
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.outlet import Outlet
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.tls import Tls

OPEN_TLS_S = 60.0  # for the handshake of TLS: a thousand at once take their time
FAREWELL_S = 1.0  # for a client that is turned away to read why
END_OF_REQUEST = b"\r\n\r\n"


class Host(Protocol):
    """What all connections of a server share. `buffers`: CHUNK bytes for what was received, and a record of TLS more
    for what was decrypted of it; `open_s`, `close_s`: for both handshakes."""

    throttle: ReceiveThrottle
    departures: Departures
    held: MemoryBudget
    buffers: tuple[bytearray, bytearray]
    open_s: float
    close_s: float

    def answer(self, connection: WebSocketConnection, request: Request) -> Response:
        """To its handshake."""
        ...

    def made(self, connection: WebSocketConnection) -> None:
        """It has a transport."""

    def opened(self, connection: WebSocketConnection) -> None: ...

    def ended(self, connection: WebSocketConnection) -> None:
        """Also of one that was never opened."""


class WebSocketConnection(asyncio.BufferedProtocol):
    """`protocol` and `tls` are this connection's alone."""

    transport: asyncio.Transport
    _outlet: Outlet

    def __init__(self, host: Host, protocol: ServerProtocol, tls: Tls | None = None) -> None:
        self.protocol = protocol
        self.descriptor = -1
        self.unread = 0  # bytes that have come and were not taken, as counted
        self.lost = False
        self.gone = False  # the client has left, or is taken for one that has
        self.hurried = False  # the message that came in has no place: it is to be read on soon
        self.on_gone: Callable[[], object] = lambda: None
        self._host, self._tls, self._inbox = host, tls, Inbox()
        self._tail: bytes | None = b""  # the end of what has come of the request; None: it has come
        self._wanted = False  # somebody waits for a message
        self._has_turn = False  # ... and it may be large
        self._ending = False
        self._changed = Flag()  # a message, or the end
        self._over = Flag()
        self._deadline: asyncio.TimerHandle | None = None  # for what is expected of the client

    # For its handler

    async def receive(self, at_once: bool = False) -> str | bytes:
        self.done()
        if not self._inbox and not self._ending:
            self._wanted, self._has_turn = True, at_once
            self._read_on()
        while not self._inbox:
            if self._ending:
                raise Disconnected
            self._changed.clear()
            await self._changed.wait()
        try:
            message = self._inbox.pop()
        except UnicodeDecodeError as error:
            self._fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            raise Disconnected from None
        self._count()
        return message

    def done(self) -> None:
        self.hurried = False
        self._host.throttle.leaves(self)

    async def send(self, message: str) -> None:
        if self._ending:
            raise Disconnected
        self.protocol.send_text(message.encode())
        self._flush()
        await self._outlet.room()
        if self.lost:
            raise Disconnected

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, and wait for the client's own, but not for long."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            self._flush()
        self._end(self._host.close_s)
        await self._over.wait()

    def leave(self) -> None:
        self.gone = True
        self.on_gone()

    def drop(self) -> None:
        self.transport.abort()

    # For who decides what is read

    def let_in(self, hurried: bool) -> None:
        self.hurried, self._has_turn = hurried, True
        if not self._ending:
            self.transport.resume_reading()

    def turn_away(self, reason: str) -> None:
        """Take no more of it, and say why."""
        self._fail(CloseCode.TRY_AGAIN_LATER, reason[:120])
        self._inbox.clear()
        self._host.held.unread(self, 0)

    # For asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self.transport, self._tls)
        self.descriptor = self.transport.get_extra_info("socket").fileno()
        self._abort_in(OPEN_TLS_S if self._tls is not None else self._host.open_s)
        self._host.made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        in_request = self._tail is not None
        size = AHEAD if in_request else self._inbox.to_read(self._has_turn, self._tls is not None)
        return memoryview(self._host.buffers[0])[:size]

    def buffer_updated(self, nbytes: int) -> None:
        self._host.throttle.received(self, nbytes)
        received, plain = self._host.buffers
        if self._tls is None:
            self._take(_first(received, nbytes))
            return
        was_shaken = self._tls.shaken
        try:
            size = self._tls.decrypt(memoryview(received)[:nbytes], memoryview(plain))
        except ssl.SSLError:
            self._outlet.flush()
            self._end(self._host.close_s)  # it may never read what is written to it
            self.transport.close()
            return
        self._outlet.flush()
        if self._tls.shaken and not was_shaken:
            self._abort_in(self._host.open_s)
        if size:
            self._take(_first(plain, size))
        if self._tls.ended:
            self.eof_received()
            self.transport.close()

    def eof_received(self) -> None:
        self.protocol.receive_eof()
        self._flush()
        self._end(self._host.close_s)

    def pause_writing(self) -> None:
        self._outlet.pause()

    def resume_writing(self) -> None:
        self._outlet.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self._ending = True
        self._cancel_deadline()
        self._host.throttle.leaves(self)
        self._host.held.unread(self, 0)
        self._changed.set()
        self._over.set()
        self._outlet.resume()  # who waits for room sees that there is none
        self._host.ended(self)
        self._let_go()

    # Inside

    def _let_go(self) -> None:
        """Of the protocol's own cycles: its parser's frames hold it, and what came of half a message."""
        self.protocol.parser.close()
        if self.protocol.parser_exc is not None:
            self.protocol.parser_exc.__traceback__ = None

    def _take(self, data: bytearray) -> None:
        if self._tail is not None:
            data = self._shake_hands(data)
        if not data:
            return
        self._inbox.feed(data)
        if self._ending:  # nothing of it is kept
            if self._inbox.closed:
                self.transport.close()
            return
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self._inbox.put(event)
        self._flush()
        self._count()
        if self.protocol.state is not State.OPEN:
            self._end(self._host.close_s)
        elif not self._ending:
            self._read_on()

    def _shake_hands(self, data: bytearray) -> bytearray:
        """Returns what came behind the request."""
        seen = cast(bytes, self._tail) + data
        end = seen.find(END_OF_REQUEST)
        behind = len(data) if end < 0 else len(data) - (len(seen) - end - len(END_OF_REQUEST))
        self._tail = seen[-len(END_OF_REQUEST) + 1 :]
        if self._ending:
            return bytearray()
        self.protocol.receive_data(data[:behind])
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self._tail = None
                self.protocol.send_response(self._host.answer(self, event))
                event.headers.clear()  # the protocol keeps the request for as long as the connection is open
        self._flush()
        if self.protocol.state is State.OPEN:
            self._cancel_deadline()
            self._read_on()
            self._host.opened(self)
        elif self.protocol.close_expected():  # it is refused
            self._end(self._host.close_s)
        return data[behind:]

    def _read_on(self) -> None:
        """Read on while the handler waits for a message, a large one only in its turn; otherwise pause reading."""
        if self._inbox or not self._wanted:
            self._wanted = self._has_turn = False
            self.transport.pause_reading()
            self._host.throttle.came(self)
            self._changed.set()
        elif self._inbox.is_large and not self._has_turn:
            self.transport.pause_reading()
            self._host.throttle.wants(self)
        else:
            self.transport.resume_reading()

    def _count(self) -> None:
        if self._inbox.size != self.unread and not self._ending:
            self._host.held.unread(self, self._inbox.size)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.protocol.fail(code, reason)
        self._flush()
        self._end(FAREWELL_S)

    def _end(self, within_s: float) -> None:
        """Nothing more is wanted of the client but its own end."""
        if self._ending:
            return
        self._ending = True
        self._abort_in(within_s)
        self._host.throttle.leaves(self)
        self._changed.set()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _abort_in(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _flush(self) -> None:
        self._outlet.send(self.protocol.data_to_send())


def _first(buffer: bytearray, size: int) -> bytearray:
    return buffer[:size] if size < len(buffer) else buffer
