"""Signs of life between machines that share a folder: a file whose content changes. No clocks are compared, and no
times of files, which a network may keep for a minute."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from capsexp.files import storing

BEAT_S = 2.0
EXPIRES_S = 30.0  # after which a lock without a sign of life is nobody's


@contextmanager
def beating(path: Path, owner: str | None = None) -> Iterator[None]:
    """Give signs of life: a thread writes another number to the file every BEAT_S. With an `owner`, the name stands
    first, and it writes only while the file names that owner."""
    done = threading.Event()

    def beat() -> None:
        count = 0
        while True:
            with suppress(OSError):  # the folder may be gone: then nobody listens
                if owner is None or _owner(path) == owner:
                    path.write_text(f"{owner or os.getpid()} {count}")
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
    """Whoever waits for signs of life; `last`: the last one."""

    def __init__(self, path: Path) -> None:
        self._path, self.last, self._since = path, "", time.monotonic()

    def silent_s(self) -> float:
        """How long there has been none."""
        with suppress(OSError):
            if (said := self._path.read_text()) != self.last:
                self.last, self._since = said, time.monotonic()
        return time.monotonic() - self._since


@contextmanager
def exclusive(path: Path, meanwhile: Callable[[], None]) -> Iterator[None]:
    """A lock across all machines that see the folder: the process that creates the file holds it. It expires after
    EXPIRES_S without a sign of life; an owner that goes on after that leaves the file to its successor. Raises
    StorageError, and what `meanwhile` raises, which is called while it waits."""
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    mine, heard = secrets.token_hex(8), Listener(path)
    while not _taken(path, mine):
        if heard.silent_s() > EXPIRES_S:
            _expire(path, heard.last, mine)
            heard = Listener(path)
        meanwhile()
        time.sleep(0.2)
    try:
        with beating(path, mine):
            yield
    finally:
        with suppress(OSError):
            if _owner(path) == mine:
                path.unlink()


def _taken(path: Path, mine: str) -> bool:
    """Make the file, where there is none, with its owner's name in it."""
    with storing(path), suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            os.write(made, mine.encode())
        finally:
            os.close(made)
        return True
    return False


def _expire(path: Path, last: str, mine: str) -> None:
    """Take a file out of the way that still says what was last heard of it. Of two who wait one finds it changed."""
    aside = path.with_name(f".{path.name}.{mine}")
    with suppress(OSError):
        if path.read_text() != last:
            return
        os.rename(path, aside)
        try:
            if aside.read_text() != last:  # somebody took it a moment ago: given back
                os.link(aside, path)
        finally:
            aside.unlink()


def _owner(path: Path) -> str:
    return (path.read_text().split() or [""])[0]
