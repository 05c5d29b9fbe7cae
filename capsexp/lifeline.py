"""Ties a child to its parent, one place per platform: nobody outlives whoever started them, not even on SIGKILL.

python -m capsexp.lifeline, with a process group on a line of stdin, kills that group when stdin ends: for a server that
is not ours and knows nothing of its parent. Another line, `done`, lets the group live.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent (expected pid `parent`) dies. Linux; elsewhere the pipe
    that each child reads from its parent does it."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


_adopting = False


def adopt_orphans() -> None:
    """From now on a descendant whose parent has gone becomes a child of ours, so that it can be found. Linux."""
    global _adopting
    if sys.platform == "linux":
        _adopting = ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER


def adopts_orphans() -> bool:
    return _adopting


def on_stdin_closed(act: Callable[[], None]) -> None:
    """Call `act` (in a thread) when stdin ends: the parent holds the other end, and closing it asks us to stop."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def main() -> None:
    """The leash of somebody else's server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = sys.stdin.read().split()
    if lines and lines[-1] != "done" and sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(lines[0]), signal.SIGKILL)


if __name__ == "__main__":
    main()
