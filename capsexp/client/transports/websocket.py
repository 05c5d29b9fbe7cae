"""WebSocket: text and binary messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.typing import Subprotocol

from capsexp.address import is_secure
from capsexp.client.transports.base import OPEN_S, ConnectionOptions, Ended
from capsexp.targets.base import Frame, Utf8


class WebSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        if isinstance(frame, Utf8):
            await self._connection.send(frame.data, text=True)
        else:
            await self._connection.send(frame)

    async def finish(self) -> None:
        pass  # the target's last message says it

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            if error.rcvd is None:
                raise
            raise Ended(error.rcvd.code, error.rcvd.reason) from error

    def again(self, head: Mapping[str, str]) -> bool:
        return self._connection.state is State.OPEN


class _Here(connect):
    """Audio and token go to the address that was given, and nowhere that it sends us on to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def opened(url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool) -> AsyncIterator[WebSocket]:
    async with _Here(
        url,
        subprotocols=[Subprotocol(name) for name in way.target.subprotocols] or None,
        additional_headers={**way.headers, **head},
        ssl=way.tls() if is_secure(url) else None,
        compression=None,
        max_size=None,
        ping_interval=None,  # the server may hold the connection back for long
        open_timeout=OPEN_S,
        close_timeout=1,
        proxy=None,
    ) as connection:
        yield WebSocket(connection)
