"""Whether the system has room to start a worker (files, processes, memory). A lack of it is temporary, not a fault."""

from __future__ import annotations

import contextlib
import errno
import os
from types import TracebackType

# Of one start: a pipe, the four ends and the report of a spawned process, a forked one's, and its file in a run.
DESCRIPTORS = 16
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


def is_passing(error: BaseException) -> bool:
    """Whether there was no descriptor, process, thread or memory to be had just now."""
    if isinstance(error, OSError):
        return error.errno in _PASSING
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "new thread" in str(error))


class SpawnReserve:
    """Descriptors that nobody who connects can take: they are let go `with` a reserve, and taken back after it.

    On the event loop's thread, where connections are accepted, so that none can come in between.
    """

    def __init__(self, count: int = DESCRIPTORS) -> None:
        self._count = count
        self._held: list[int] = []

    def take(self) -> None:
        with contextlib.suppress(OSError):  # as many as there are; the rest the next time
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))

    def drop(self) -> None:
        while self._held:
            os.close(self._held.pop())

    def __enter__(self) -> None:
        self.drop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take()
