"""Ties a child to its parent, one place per platform: nobody outlives whoever started them, not even on SIGKILL.

`python -m capsexp.lifeline FD COMMAND...` is the leash of a server that is not ours and knows nothing of its parent: it
runs the command, tells its pid on the descriptor FD, and ends as it ends. What the command leaves, in whatever session,
comes to the leash and ends with it, and all of it ends when stdin does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

LEFT_S = 2.0  # for what a server left behind to end once it is asked to
NOT_STARTED = 127  # exit code, as a shell's


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
    """Whether `adopt_orphans` took effect: what a child of ours leaves becomes our child."""
    return _adopting


def on_stdin_closed(act: Callable[[], None]) -> None:
    """Call `act` (in a thread) when stdin ends: the parent holds the other end, and closing it asks us to stop."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def kill_tree(pid: int) -> None:
    """Kill a process and all below it, whatever group or session they are in."""
    import psutil  # not before it is needed: a leash has to be quick

    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def main(argv: Sequence[str]) -> int:
    """The leash; returns the exit code of the command."""
    if sys.platform == "win32":
        raise NotImplementedError("has no process groups")
    report, command = int(argv[0]), argv[1:]
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for signum in asked:  # sent to the whole group: the command decides when it ends
        signal.signal(signum, signal.SIG_IGN)
    adopt_orphans()
    me = os.getpid()

    def before() -> None:
        for signum in asked:
            signal.signal(signum, signal.SIG_DFL)
        die_with_parent(me)

    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=before)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        os.write(report, f"{error}\n".encode("utf-8", "backslashreplace"))
        return NOT_STARTED
    os.write(report, f"{server.pid}\n".encode())
    os.close(report)
    on_stdin_closed(_cut)
    code = _ended(server.pid)
    _end_what_is_left()
    return code


def _ended(pid: int) -> int:
    """Wait for a child, and meanwhile for orphans that have come to us."""
    assert sys.platform != "win32"
    while True:
        died, status = os.waitpid(-1, 0)
        if died == pid:
            return os.waitstatus_to_exitcode(status)


def _end_what_is_left() -> None:
    """What the command left behind: by request, then by force."""
    import psutil

    until = time.monotonic() + LEFT_S
    for act in ("terminate", "kill"):
        while left := psutil.Process().children(recursive=True):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    getattr(process, act)()
            _, alive = psutil.wait_procs(left, timeout=0.1 if act == "kill" else LEFT_S)
            if act == "terminate" or (alive and time.monotonic() > until + LEFT_S):
                break


def _cut() -> None:
    """Whoever held us has gone, or wants no more."""
    import psutil

    until = time.monotonic() + LEFT_S
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < until:
        for process in left:  # those that are orphaned by this come to us, and are found the next time
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.005)
    os._exit(-int(getattr(signal, "SIGKILL", signal.SIGTERM)) & 0xFF)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code < 0:  # as the command was ended, so that it is known by which signal
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
