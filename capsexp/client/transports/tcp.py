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


class Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, frame: Frame) -> None:
        self._writer.write(as_bytes(frame))
        await self._writer.drain()

    async def finish(self) -> None:
        pass  # the target's last bytes say it

    async def receive(self) -> bytes:
        read = await self._reader.read(READ)
        if not read:
            raise Ended(0)
        return read


@asynccontextmanager
async def stream(url: str, way: ConnectionOptions) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Also what HTTP goes over."""
    host, port = urlsplit(url).hostname, port_in(url)
    if not host:
        raise ValueError("no host is said")
    connecting = asyncio.open_connection(host, port, ssl=way.tls() if is_secure(url) else None)
    reader, writer = await asyncio.wait_for(connecting, OPEN_S)
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
