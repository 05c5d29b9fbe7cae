"""Signs of life between machines that share a folder: a file whose content changes. No clocks are compared, and no
times of files, which a network may keep for a minute."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from capsexp.files import storing

BEAT_S = 2.0
EXPIRES_S = 30.0  # after which a lock without a sign of life is nobody's


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """A thread writes a number there, again and again."""
    done = threading.Event()

    def beat() -> None:
        count = 0
        while True:
            with suppress(OSError):  # the folder may be gone: then nobody listens
                path.write_text(f"{os.getpid()} {count}")
            count += 1
            if done.wait(BEAT_S):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Listener:
    """Whoever waits for signs of life."""

    def __init__(self, path: Path) -> None:
        self._path, self._last, self._since = path, "", time.monotonic()

    def silent_s(self) -> float:
        """How long there has been none."""
        with suppress(OSError):
            if (said := self._path.read_text()) != self._last:
                self._last, self._since = said, time.monotonic()
        return time.monotonic() - self._since


@contextmanager
def exclusive(path: Path, meanwhile: Callable[[], None]) -> Iterator[None]:
    """One at a time, over all machines that see the folder: whoever makes the file has the lock, which expires where
    its owner gives no sign of life. Raises StorageError, and what `meanwhile` raises while it waits."""
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    heard = Listener(path)
    while True:
        with storing(path), suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            break
        if heard.silent_s() > EXPIRES_S:
            path.unlink(missing_ok=True)
            heard = Listener(path)
        meanwhile()
        time.sleep(0.2)
    try:
        with beating(path):
            yield
    finally:
        with suppress(OSError):
            path.unlink()
