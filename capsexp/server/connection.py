"""A client's connection, as the gateway sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Disconnected(Exception):
    """The connection has ended, or is about to."""


class Connection(Protocol):
    """What the gateway needs of a WebSocket. Equal to itself alone."""

    gone: bool  # the client has left
    hurried: bool  # its message was let in without a place (core/turns.py): read on soon
    on_gone: Callable[[], object]  # is called when the client leaves

    def __hash__(self) -> int: ...

    async def receive(self, at_once: bool = False) -> str | bytes:
        """The next message. A large one is received in its turn (see core/turns.py), or with `at_once` without waiting
        for it. After it nothing is read until the next call. Raises Disconnected."""
        ...

    def done(self) -> None:
        """The last message has been handled: its place is free for another connection."""

    async def send(self, message: str) -> None:
        """Returns when the client has room for more; raises Disconnected."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    def leave(self) -> None:
        """The client has left, or is to be taken for one that has."""

    def drop(self) -> None:
        """Abort the connection, without a close handshake."""
