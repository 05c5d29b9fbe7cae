"""One writer of a sweep's folder at a time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from capsexp.errors import StorageError
from capsexp.files import storing

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else write into a sweep's folder meanwhile; raises StorageError that names who does. What an owner
    that died has left is taken over: where the platform can, the system itself ends its lock with it."""
    path = folder / ".lock"
    fd = _lock(path)
    try:
        with storing(path):
            os.truncate(fd, 0)
            os.write(fd, json.dumps(_owner()).encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(fd)


def _lock(path: Path) -> int:
    while True:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # a folder may be anybody's
            raise StorageError(f"{path}: is not a lock file of capsexp; remove it")
        with storing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        if os.fstat(fd).st_nlink > 1:  # what we write there would be in another file as well
            os.close(fd)
            raise StorageError(f"{path}: is a hard link to another file; remove it")
        try:
            if sys.platform != "win32":
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            elif _alive(_told_owner(fd)):
                raise BlockingIOError
            if os.path.samestat(os.fstat(fd), path.stat()):  # not one that its owner removed just now
                return fd
        except FileNotFoundError:
            pass
        except BlockingIOError:
            owner = _told_owner(fd)
            raise StorageError(
                f"{path.parent}: is being written by another capsexp (pid {owner.get('pid', '?')} on "
                f"{owner.get('host', '?')} since {owner.get('since', '?')}); wait for it or end it"
            ) from None
        except OSError:  # a file system without locks: by what the owner says of itself
            owner = _told_owner(fd)
            if not _alive(owner):
                return fd
            os.close(fd)
            raise StorageError(
                f"{path.parent}: another capsexp may be writing to it (pid {owner.get('pid', '?')} on "
                f"{owner.get('host', '?')}); if it is not, remove {path.name}"
            ) from None
        os.close(fd)


# What an owner says of itself in the file, for a line to the other one: whatever stands there, it is no contract.
def _owner() -> Mapping[str, Any]:
    me = psutil.Process()
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return {"pid": me.pid, "host": socket.gethostname(), "since": since, "started": me.create_time()}


def _told_owner(fd: int) -> Mapping[str, Any]:
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        found = json.loads(os.read(fd, 4096))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(owner: Mapping[str, Any]) -> bool:
    if not owner or owner.get("pid") == os.getpid():
        return False
    if owner.get("host") != socket.gethostname():
        return True  # who knows
    try:
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1)
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
