"""What a child says, as a file that never grows beyond its bounds: not even while nobody looks."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

from capsexp.files import storing

LOG_BYTES = 4 * 2**20  # of a log, before it is rotated: `<log>.1` holds as much of what came before
BLOCK = 1 << 16


class BoundedLog:
    """A file that is appended to. Once it would be larger than `most` bytes it takes the place of `<log>.1`, and a new
    one begins. Raises StorageError where it cannot be opened; what cannot be written later is lost: a log is worth no
    run."""

    def __init__(self, path: Path, most: int = LOG_BYTES) -> None:
        self._path, self._most = path, most
        with storing(path.name):
            self._file = self._open()

    def _open(self) -> IO[bytes]:
        file = self._path.open("ab", buffering=0)
        self._size = file.seek(0, os.SEEK_END)
        return file

    def write(self, block: bytes) -> None:
        try:
            if self._size and self._size + len(block) > self._most:
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = self._open()
            self._size += self._file.write(block)
        except (OSError, ValueError):  # also: could not be opened anew
            pass

    def close(self) -> None:
        self._file.close()


class Pump:
    """Carries what comes out of a pipe into a bounded log, in a thread, until all who hold the other end have gone."""

    def __init__(self, pipe: IO[bytes], log: BoundedLog) -> None:
        self._pipe, self._write = pipe, log.write
        self._log = log
        self._thread = threading.Thread(target=self._carry, name=f"log of {pipe.name}", daemon=True)
        self._thread.start()

    def drained(self, seconds: float) -> bool:
        """Whether all that was said is in the log, or comes to be in so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def end(self, seconds: float) -> None:
        """From now on nothing is kept: whoever still holds the pipe speaks to nobody."""
        if not self.drained(seconds):
            self._write = _nowhere

    def _carry(self) -> None:
        with self._pipe:
            while block := os.read(self._pipe.fileno(), BLOCK):
                self._write(block)
        self._log.close()


def _nowhere(block: bytes) -> None:
    pass
