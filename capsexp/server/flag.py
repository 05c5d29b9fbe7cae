"""What one waits for on a connection."""

from __future__ import annotations

import asyncio


class Flag:
    """As asyncio.Event, which takes 750 bytes before anybody waits: there are three of these for each connection."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        return self._is_set

    def clear(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Wakes all who wait, also where it is cleared before they run."""
        self._is_set = True
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    async def wait(self) -> None:
        if self._is_set:
            return
        one = asyncio.get_running_loop().create_future()
        self._waiting += (one,)
        try:
            await one
        finally:
            self._waiting = tuple(other for other in self._waiting if other is not one)
