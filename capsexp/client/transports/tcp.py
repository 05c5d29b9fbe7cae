"""TCP: a stream of bytes, in pieces as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from capsexp.address import is_secure, port_in
from capsexp.client.transports.base import OPEN_S, ConnectionOptions, Ended, as_bytes
from capsexp.targets.base import Frame

READ = 64 * 1024  # bytes at a time


class Reader(asyncio.StreamReader):
    """Of which all that came can be read, also after the connection broke: asyncio's own forgets what nobody has taken
    by then, and a server that answers early may reset the connection at once."""

    broken: Exception | None = None  # how the connection ended, if not in order

    def set_exception(self, exc: Exception) -> None:
        self.broken = exc
        self.feed_eof()


class Tcp:
    def __init__(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, frame: Frame) -> None:
        await write(self._writer, as_bytes(frame))

    async def finish(self) -> None:
        pass  # the target's last bytes say it

    async def receive(self) -> bytes:
        read = await self._reader.read(READ)
        if not read:
            raise self._reader.broken or Ended(0)
        return read


async def write(writer: asyncio.StreamWriter, data: bytes | memoryview) -> None:
    await asyncio.sleep(0)  # what came is read first: a write to a connection that was reset ends all reading
    writer.write(data)
    await writer.drain()


@asynccontextmanager
async def stream(url: str, way: ConnectionOptions) -> AsyncIterator[tuple[Reader, asyncio.StreamWriter]]:
    """Also what HTTP goes over."""
    host, port = urlsplit(url).hostname, port_in(url)
    if not host:
        raise ValueError("no host is said")
    loop = asyncio.get_running_loop()
    reader = Reader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    connecting = loop.create_connection(lambda: protocol, host, port, ssl=way.tls() if is_secure(url) else None)
    transport, _ = await asyncio.wait_for(connecting, OPEN_S)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)


@asynccontextmanager
async def opened(url: str, way: ConnectionOptions, head: Mapping[str, str]) -> AsyncIterator[Tcp]:
    async with stream(url, way) as (reader, writer):
        yield Tcp(reader, writer)
