"""TCP: a stream of bytes, in pieces as they come."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from capsexp.address import is_secure, port_in
from capsexp.client.transports.base import OPEN_S, ConnectionOptions, Ended, as_bytes
from capsexp.targets.base import Frame

T = TypeVar("T")
READ = 64 * 1024  # bytes at a time


class Reader(asyncio.StreamReader):
    """A StreamReader that still gives all that was received after the connection broke: asyncio's own discards what was
    not read by then, and a server that answers early may reset the connection at once. `same`: a duplicate of the
    socket, to read what asyncio left unread when sending failed; None with TLS, which only asyncio can read."""

    broken: Exception | None = None  # how the connection ended, if not in order
    same: socket.socket | None = None

    def set_exception(self, exc: Exception) -> None:
        self.broken = exc
        with contextlib.suppress(OSError):
            while self.same is not None and (left := self.same.recv(READ)):
                self.feed_data(left)
        self.feed_eof()


class Tcp:
    def __init__(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, frame: Frame) -> None:
        self._writer.write(as_bytes(frame))
        await self._writer.drain()

    async def finish(self) -> None:
        pass  # the target's last bytes say it

    async def receive(self) -> bytes:
        read = await self._reader.read(READ)
        if not read:
            raise self._reader.broken or Ended(0)
        return read

    def again(self, head: Mapping[str, str]) -> bool:
        return not self._reader.at_eof()


@asynccontextmanager
async def stream(url: str, way: ConnectionOptions) -> AsyncIterator[tuple[Reader, asyncio.StreamWriter]]:
    """Also what HTTP goes over."""
    host, port = urlsplit(url).hostname, port_in(url)
    if not host:
        raise ValueError("no host is given")
    loop, secure = asyncio.get_running_loop(), is_secure(url)
    reader = Reader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    connecting = loop.create_connection(lambda: protocol, host, port, ssl=way.tls() if secure else None)
    transport, _ = await _within(OPEN_S, connecting)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    if not secure:
        reader.same = writer.get_extra_info("socket").dup()
        reader.same.setblocking(False)
    try:
        yield reader, writer
    finally:
        if reader.same is not None:
            reader.same.close()
        if secure:
            writer.close()
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await _within(1, writer.wait_closed())
        else:  # the request is over: nothing that is unsent matters to anybody
            writer.transport.abort()
            await asyncio.sleep(0)  # it closes in the loop's next round


async def _within(seconds: float, what: Coroutine[Any, Any, T]) -> T:
    """As asyncio.wait_for, which costs a task more."""
    if sys.version_info < (3, 11):
        return await asyncio.wait_for(what, seconds)
    async with asyncio.timeout(seconds):
        return await what


@asynccontextmanager
async def opened(url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool) -> AsyncIterator[Tcp]:
    async with stream(url, way) as (reader, writer):
        yield Tcp(reader, writer)
