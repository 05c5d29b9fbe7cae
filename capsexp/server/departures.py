"""Notices clients that close their connection while the server does not read from it. Linux reports each at once
(EPOLLRDHUP); on other systems it is noticed at the next read from the connection, or write to it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Callable


class Departures:
    def __init__(self) -> None:
        self._leaves: dict[int, Callable[[], object]] = {}
        if sys.platform == "linux" and hasattr(select, "epoll"):
            self._epoll: select.epoll | None = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)
        else:
            self._epoll = None

    def watch(self, descriptor: int, leaves: Callable[[], object]) -> None:
        """Call `leaves` once, when the client of this socket ends its side."""
        if sys.platform == "linux" and self._epoll is not None and descriptor >= 0:
            with contextlib.suppress(OSError):  # no more watches are allowed: noticed late, as on other systems
                self._epoll.register(descriptor, select.EPOLLRDHUP)
                self._leaves[descriptor] = leaves

    def forget(self, descriptor: int) -> None:
        """Before the socket is closed, as its number may be another's then."""
        if self._leaves.pop(descriptor, None) is not None and sys.platform == "linux" and self._epoll is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        if sys.platform == "linux" and self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _look(self) -> None:
        if sys.platform == "linux" and self._epoll is not None:
            for descriptor, _ in self._epoll.poll(0):
                leaves = self._leaves.get(descriptor)
                self.forget(descriptor)
                if leaves is not None:
                    leaves()
