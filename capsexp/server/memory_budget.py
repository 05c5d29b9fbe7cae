"""What the whole server holds for its clients, in bytes: messages that have not come whole, audio that waits for the
rest of its segment or for a worker. All of it together has one bound (server.max_held_mb)."""

from __future__ import annotations

import asyncio
from typing import Protocol

MB = 2**20
CLOSE = 1.25  # times the bound


class Incoming(Protocol):
    """A connection with what has come of it and was not taken."""

    unread: int  # bytes

    def turn_away(self, reason: str) -> None: ...


class MemoryBudget:
    """Three limits. Above half of the bound, connections that wait for a worker are no longer read (`roomy` is clear).
    Above the whole bound, tasks that begin or send more audio are refused (`full`). Above CLOSE times the bound, the
    connection with the most unread bytes is turned away: messages that never end count until then, too."""

    def __init__(self, most_mb: float = 1024.0) -> None:
        self.most_mb, self.total = most_mb, 0
        self._incoming: dict[Incoming, None] = {}  # with something unread
        self.roomy = asyncio.Event()
        self.roomy.set()

    def add(self, size: int) -> None:
        """So many bytes more, or fewer."""
        self.total += size
        if self.total > self.most_mb * MB / 2:
            self.roomy.clear()
        else:
            self.roomy.set()

    @property
    def full(self) -> bool:
        return self.total > self.most_mb * MB

    @property
    def reason(self) -> str:
        return f"this server holds more than server.max_held_mb = {self.most_mb:g} MB for its clients; try again later"

    def unread(self, connection: Incoming, size: int) -> None:
        """Set the unread bytes of a connection to `size`. Above CLOSE times the bound, the connection with the most is
        turned away, if that is more than 1 MB."""
        self.add(size - connection.unread)
        connection.unread = size
        if size:
            self._incoming[connection] = None
        else:
            self._incoming.pop(connection, None)
        if self.total > CLOSE * self.most_mb * MB and self._incoming:
            most = max(self._incoming, key=lambda one: one.unread)
            if most.unread > MB:
                most.turn_away(self.reason)
