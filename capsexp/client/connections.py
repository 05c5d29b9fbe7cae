"""The connections of a load: one for each request, or with load.reuse one after another for several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from capsexp.client.transports import Connection, ConnectionOptions, opened

WATCH_S = 0.1  # after a final result, for a second one to show


@dataclass(eq=False)
class Lent:
    """A connection for a request. `after`: what to do with it until another request takes it; without, it is closed."""

    connection: Connection
    closing: AsyncExitStack
    after: Callable[[], Coroutine[Any, Any, None]] | None = None
    idle: asyncio.Task[None] | None = None

    async def rest(self) -> None:
        """End what is done until another request comes."""
        if self.idle is not None:
            self.idle.cancel()
            await asyncio.gather(self.idle, return_exceptions=True)

    async def close(self) -> None:
        await self.rest()
        await self.closing.aclose()


class Connections:
    """`keep`: the connection of a request that ended well is kept for a later one, so that no more are open than there
    are requests at once. `opened`: how many were opened, which took `handshakes_s` seconds in all."""

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self.opened, self.handshakes_s = 0, 0.0
        self._idle: list[Lent] = []

    @asynccontextmanager
    async def lend(
        self, transport: str, url: str, way: ConnectionOptions, head: Mapping[str, str]
    ) -> AsyncIterator[Lent]:
        """Raises what `transports.opened` does."""
        lent = await self._kept(head) or await self._new(transport, url, way, head)
        try:
            yield lent
        except BaseException:
            await lent.close()
            raise
        if self.keep and lent.after is not None:
            lent.idle = asyncio.create_task(lent.after())
            self._idle.append(lent)
        else:
            await lent.close()

    async def close(self) -> None:
        """Those that nobody uses."""
        if self._idle:
            await asyncio.sleep(WATCH_S)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(lent.close() for lent in idle), return_exceptions=True)

    async def _kept(self, head: Mapping[str, str]) -> Lent | None:
        """The one that was used last, as a server ends those that stand idle for long."""
        while self._idle:
            lent = self._idle.pop()
            await lent.rest()
            if lent.connection.again(head):
                lent.after = lent.idle = None
                return lent
            await lent.close()
        return None

    async def _new(self, transport: str, url: str, way: ConnectionOptions, head: Mapping[str, str]) -> Lent:
        closing, began = AsyncExitStack(), time.monotonic()
        connection = await closing.enter_async_context(opened(transport, url, way, head, self.keep))
        self.opened, self.handshakes_s = self.opened + 1, self.handshakes_s + time.monotonic() - began
        return Lent(connection, closing)
