"""Bytes waiting in the kernel for connections that are not being read. Linux only, as nothing else of the server."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from typing import Protocol

if sys.platform == "linux":
    import fcntl
    import termios


class TcpQueues(Protocol):
    """Tells of each descriptor once, and again when it is watched anew."""

    def fileno(self) -> int:
        """Ready when there is news."""

    def news(self) -> list[tuple[int, bool]]:
        """Descriptors of which something is to be told, and whether it is that the client has left."""

    def add(self, descriptor: int) -> None: ...

    def watch(self, descriptor: int, for_data: bool) -> None:
        """Tell when the client leaves, and with `for_data` when something comes."""

    def forget(self, descriptor: int) -> None: ...

    def unread(self, descriptor: int) -> int:
        """Bytes that wait in the kernel."""

    def received(self, connection: socket.socket) -> int:
        """Bytes that ever came, as the kernel counts (tcpi_bytes_received); 0 where it does not."""

    def close(self) -> None: ...


def kernel() -> TcpQueues | None:
    """None where it does not tell."""
    if sys.platform == "linux" and hasattr(select, "epoll"):
        return _Epoll()
    return None


if sys.platform == "linux":

    class _Epoll:
        def __init__(self) -> None:
            self._epoll = select.epoll()

        def fileno(self) -> int:
            return self._epoll.fileno()

        def news(self) -> list[tuple[int, bool]]:
            left = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
            return [(descriptor, bool(events & left)) for descriptor, events in self._epoll.poll(0)]

        def add(self, descriptor: int) -> None:
            self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)

        def watch(self, descriptor: int, for_data: bool) -> None:
            events = select.EPOLLIN if for_data else 0
            self._epoll.modify(descriptor, events | select.EPOLLRDHUP | select.EPOLLONESHOT)

        def forget(self, descriptor: int) -> None:
            with contextlib.suppress(OSError):  # closed, which took it out
                self._epoll.unregister(descriptor)

        def unread(self, descriptor: int) -> int:
            return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4), sys.byteorder)

        def received(self, connection: socket.socket) -> int:
            known: bytes = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
            return int(struct.unpack_from("Q", known, 128)[0]) if len(known) == 136 else 0

        def close(self) -> None:
            self._epoll.close()
