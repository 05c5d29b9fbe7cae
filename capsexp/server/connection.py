"""A client's connection, as the gateway sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Disconnected(Exception):
    """The connection has ended, or is about to."""


class Connection(Protocol):
    """What the gateway needs of a WebSocket. Equal to itself alone."""

    gone: bool  # the client has left
    hurried: bool  # the message that came in has no place: it is to be read on soon
    on_gone: Callable[[], object]  # is called when the client leaves

    def __hash__(self) -> int: ...

    async def receive(self, at_once: bool = False) -> str | bytes:
        """The next message, when its turn has come, or at once; nothing more is read then, until the next call. Raises
        Disconnected."""
        ...

    def done(self) -> None:
        """The message that came in is out of the way: somebody else's turn."""

    async def send(self, message: str) -> None:
        """Returns when the client has room for more; raises Disconnected."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    def leave(self) -> None:
        """The client has left, or is to be taken for one that has."""

    def drop(self) -> None:
        """Throw the client out, without ceremony."""
