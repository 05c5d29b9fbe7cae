"""The end of a multiprocessing.Pipe, which is another class on Windows, and how it is ended while threads use it.

A pipe is closed by the last thread that uses it, and by nobody else: its descriptor may be another's file at once, and
a thread in the middle of a message would read or write there. What others may do is shut it, which ends whatever waits
in it and leaves the number taken.
"""

from __future__ import annotations

import contextlib
import socket
import sys

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection

    def half_close(pipe: Connection) -> None:
        """A pipe of Windows has no halves: its worker is ended by the process."""

    def shut(pipe: Connection) -> None:
        """Handles are not given to others as readily there, and closing one ends what waits on it."""
        pipe.close()

else:
    from multiprocessing.connection import Connection

    def half_close(pipe: Connection) -> None:
        """Tell the other end that nothing more will come."""
        _shut(pipe, socket.SHUT_WR)

    def shut(pipe: Connection) -> None:
        """Both ends see the end of the pipe, after what is in it."""
        _shut(pipe, socket.SHUT_RDWR)

    def _shut(pipe: Connection, how: int) -> None:
        with contextlib.suppress(OSError):  # the other end has gone
            end = socket.socket(fileno=pipe.fileno())
            try:
                end.shutdown(how)
            finally:
                end.detach()


__all__ = ["Connection", "half_close", "shut"]
