"""The listening socket: opened before the models load, with a bound on connections that have not sent a request."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from capsexp.errors import ServerError

BACKLOG = 4096  # connections that wait in the kernel
OPENING = 64  # accepted connections without a request yet, beyond the free ones of server.max_connections
OPEN_S = 10.0  # s from accepting a connection to its request
RECEIVE = 262_144  # bytes of the kernel's receive buffer: a ping queues behind all of them
SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener(socket.socket):
    """Closes the oldest connection without a request when a new one comes and there are too many, so that a client with
    a request always gets in. Where descriptors run out nevertheless, the new connection is accepted with a spare one
    and closed: in the backlog it would wake the event loop for ever."""

    def __init__(self, family: int, say: Callable[[str, str], None] = lambda kind, line: None) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.say = say
        self.room: Callable[[], int] = lambda: 0  # connections that may still be let in
        self._opening: dict[int, socket.socket] = {}  # in the order they came
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)

    def listen(self, backlog: int = BACKLOG) -> None:
        """asyncio accepts `backlog` connections at a time; how many wait in the kernel is ours to say."""
        super().listen(BACKLOG)

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in SHORTAGE:
                raise
            self._turn_away(error)
            raise BlockingIOError(error.errno, "no descriptor is left for a connection") from None
        number = connection.fileno()
        self._opening.pop(number, None)
        self._opening[number] = connection
        if len(self._opening) > OPENING + self.room():
            self._make_room()
        return connection, address

    def asked(self, number: int) -> None:
        """The connection of this descriptor has sent its request."""
        self._opening.pop(number, None)

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()

    def _make_room(self) -> None:
        self._opening = {number: one for number, one in self._opening.items() if one.fileno() == number}
        while len(self._opening) > OPENING + self.room():
            oldest = self._opening.pop(next(iter(self._opening)))
            self.say("idle", "idle connections are closed to make room for new ones")
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # its owner sees the end, and closes it

    def _turn_away(self, error: OSError) -> None:
        self.say("files", f"a connection is closed at once: {error.strerror}; raise the limit (ulimit -n)")
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        with contextlib.suppress(OSError):
            super().accept()[0].close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)


def bind(host: str, port: int) -> Listener:
    """Take the port before the models load; raises ServerError when it is taken. Who connects before they have loaded
    waits in the kernel."""
    listener = Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if sys.platform != "win32":  # there it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)
        listener.bind((host, port))
        listener.listen()  # a port that is only bound can be taken by two
    except (OSError, UnicodeError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else error
        raise ServerError(
            f"cannot listen on {host}:{port}: {why}; stop what uses it or choose another server.port"
        ) from None
    return listener
