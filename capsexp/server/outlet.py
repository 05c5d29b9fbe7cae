"""Sends to one client: the transport's buffer is bounded (WRITE_LIMIT), and senders wait while it is full."""

from __future__ import annotations

import asyncio

from websockets.frames import Opcode

from capsexp.server.flag import Flag
from capsexp.server.tls import Tls

WRITE_LIMIT = 32_768  # bytes that wait for a client, before who sends to it waits as well
PONG = bytes([0x80 | Opcode.PONG])  # how such a frame of a server begins


class Outlet:
    """While the client does not read, only the pong to its latest ping is kept, and sent when it reads again (RFC 6455,
    5.5.3, allows this)."""

    def __init__(self, transport: asyncio.Transport, tls: Tls | None) -> None:
        self._transport, self._tls = transport, tls
        self._roomy = Flag(True)
        self._pong: bytes | None = None  # that waits for room
        transport.set_write_buffer_limits(WRITE_LIMIT)

    def send(self, pieces: list[bytes]) -> None:
        """What a protocol has to send; an empty piece is the end."""
        for data in pieces:
            if not data:
                self._end()
            elif data[:1] == PONG and not self._roomy.is_set():
                self._pong = data
            else:
                self._send(data)

    def flush(self) -> None:
        """What TLS itself has to say."""
        if self._tls is not None:
            self._write(self._tls.to_send())

    async def room(self) -> None:
        """Wait until the client has taken enough, or has gone."""
        await self._roomy.wait()

    def pause(self) -> None:
        self._roomy.clear()

    def resume(self) -> None:
        self._roomy.set()
        pong, self._pong = self._pong, None
        if pong is not None:
            self._send(pong)

    def _send(self, data: bytes) -> None:
        self._write(data if self._tls is None else self._tls.encrypt(data))

    def _end(self) -> None:
        self._pong = None
        if self._tls is not None:
            self._tls.end()
            self.flush()
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def _write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)
