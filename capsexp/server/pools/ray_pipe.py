"""A worker on a node, as the gateway holds it: a handle, and a pipe that is there before its connection is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from capsexp.pipes import Connection, shut
from capsexp.server.messages import Done, Failed, Started, WorkerReady
from capsexp.server.pools.ray_words import Ended


class NodePipe(Connection):
    """A pipe that is connected later: reading and writing wait until it is connected or given up. `heard` converts a
    worker's message to this machine's times and pids; `ended` is called when nothing more will be read."""

    _handle = None  # as of a Connection that is closed

    def __init__(self, heard: Callable[[Any], Any], ended: Callable[[], None]) -> None:
        self._heard, self._when_ended = heard, ended
        self._readable = self._writable = True
        self._decided = threading.Event()
        self._given_up = False
        self._last: Any = None
        self._guard = threading.Lock()

    def attach(self, sock: socket.socket) -> bool:
        """Whether somebody still waits for it; `sock` is used up then."""
        with self._guard:
            if self._decided.is_set():
                return False
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(sock.detach())
            self._decided.set()
            return True

    def say(self, word: Any) -> None:
        """What is read before the end of a pipe that is never connected."""
        self._last = word

    def give_up(self) -> None:
        """Both its threads here see its end, whatever the other side does."""
        with self._guard:
            self._given_up = True
            if self._decided.is_set():
                shut(self)
            self._decided.set()

    def send(self, obj: Any) -> None:
        self._decided.wait()
        super().send(obj)

    def recv(self) -> Any:
        self._decided.wait()
        try:
            if self._given_up:
                word, self._last = self._last, None
                if word is None:
                    raise EOFError
                return word
            return self._heard(super().recv())
        except BaseException:
            self._when_ended()
            raise

    def close(self) -> None:
        with self._guard:
            super().close()


class NodeHandle:
    """`tell(how)` has the node do to its process what `terminate` and `kill` do here; `offset_s`: what to take from
    its times; `pid_of`: its pid as it is known here, `fits`: what is wrong with what its engine says of itself."""

    def __init__(
        self,
        number: int,
        where: str,
        tell: Callable[[str], object],
        offset_s: Callable[[], float],
        pid_of: Callable[[int], int],
        fits: Callable[[WorkerReady], str],
    ) -> None:
        self.number = number
        self.pid: int | None = None
        self.pipe = NodePipe(self._heard, lambda: self.finish("its connection ended"))
        self._where, self._tell, self._offset_s, self._pid_of, self._fits = where, tell, offset_s, pid_of, fits
        self._how = ""
        self._over = False

    def alive(self) -> bool:
        return not self._over

    def terminate(self) -> None:
        self._tell("terminate")

    def kill(self) -> None:
        """Our end goes at once: a node that is frozen or cut off will not end it."""
        self._tell("kill")
        self.finish("killed")

    def ended(self) -> str:
        return f"{self._how} on {self._where}"

    def finish(self, how: str) -> None:
        """It is lost to us."""
        self._how = self._how or how
        self._over = True
        self.pipe.give_up()

    def fail(self, why: str) -> None:
        """It cannot be: said to the pool as a worker would."""
        self.pipe.say(Failed(None, why))
        self.finish(why)

    def _heard(self, message: Any) -> Any:
        if isinstance(message, Ended):
            self._how = str(message.how)[:500]
            raise EOFError
        if isinstance(message, Done) and isinstance(message.started, float) and isinstance(message.finished, float):
            offset_s = self._offset_s()
            return replace(message, started=message.started - offset_s, finished=message.finished - offset_s)
        if isinstance(message, Started) and type(message.pid) is int:
            return Started(self._pid_of(message.pid))
        if isinstance(message, Failed) and message.id is None:
            return replace(message, reason=f"{message.reason} (on {self._where})")
        if isinstance(message, WorkerReady) and (wrong := self._fits(message)):
            return Failed(None, f"{wrong} (on {self._where})")
        return message
