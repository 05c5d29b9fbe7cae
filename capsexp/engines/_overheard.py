"""Captures what a C++ library writes to stderr: some report failures nowhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

MOST = 65536  # bytes that are read of it, and passed on

_lock = threading.Lock()
_owner = 0  # the process that `_file` is of: a forked one needs its own
_file = -1
_stderr = -1  # the real one, while somebody listens
_listening = 0  # threads of this process


@contextlib.contextmanager
def overheard() -> Iterator[Callable[[], str]]:
    """Within it, what it yields gives what was written so far; all of it goes to the real stderr in the end.

    Where threads of a process listen at the same time, each hears the others as well. On Windows nothing is heard.
    """
    if sys.platform == "win32":
        yield lambda: ""
        return
    start = _begin()
    try:
        yield lambda: _said(start).decode("utf-8", "replace")
    finally:
        _end()


def _begin() -> int:
    global _owner, _file, _stderr, _listening
    with _lock:
        if _owner != os.getpid():
            with tempfile.TemporaryFile() as file:
                _file = os.dup(file.fileno())
            _owner, _listening = os.getpid(), 0
            os.set_inheritable(_file, False)
        start = os.fstat(_file).st_size
        if _listening == 0:
            saved = os.dup(2)
            os.ftruncate(_file, 0)
            os.lseek(_file, 0, os.SEEK_SET)  # which the copy shares: what is written goes on behind
            os.dup2(_file, 2)
            _stderr, start = saved, 0
        _listening += 1
        return start


def _said(start: int) -> bytes:
    if sys.platform == "win32":  # which has no read that leaves the position alone
        return b""
    return os.pread(_file, MOST, start)


def _end() -> None:
    global _listening
    with _lock:
        _listening -= 1
        if _listening == 0:
            os.dup2(_stderr, 2)
            os.close(_stderr)
            said = _said(0)
            with contextlib.suppress(OSError):  # a log is worth no segment
                while said:
                    said = said[os.write(2, said) :]
