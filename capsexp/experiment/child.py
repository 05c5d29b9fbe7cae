"""A tool of ours, or a server of somebody's, as a child in a process group of its own that is always taken down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from capsexp import lifeline
from capsexp.errors import StorageError
from capsexp.files import storing
from capsexp.tool import PARENT

POLL_S = 0.01
LOG_LINES = 5
TAIL_BYTES = 64 * 1024  # of a log that are looked at for an error
LINE_CHARS = 400  # of each of its lines
_OURS: set[int] = set()  # the processes that are children of ours by our own doing


class Child:
    """Output goes to `log`. Closing stdin is the request to stop that our own tools (`guarded`) listen to."""

    def __init__(
        self, command: Sequence[str], log: Path, guarded: bool = True, env: dict[str, str] | None = None
    ) -> None:
        self.log, self.guarded = log, guarded
        with storing(log.name):
            out = log.open("ab")
        with out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if guarded else subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches the runner alone, which then stops in order
                env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid()), **(env or {})},
            )

        _OURS.add(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def say(self, line: str) -> None:
        """A line to its stdin; a child that has gone is noticed elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def check_storage(self) -> None:
        """Raises StorageError when it ended because it could not write."""
        if self.process.poll() == StorageError.EXIT:
            said = self.last_lines().rpartition("cannot write ")[2]
            raise StorageError(f"cannot write {said}" if said else f"{self.log.stem} could not write")

    def wait(self, seconds: float) -> bool:
        """Whether it ended by itself in that time."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    def stop(self, grace: float) -> None:
        """By request, then SIGTERM, then SIGKILL to the whole group, each after `grace` seconds; then none is left."""
        below = [] if self.guarded else _below(self.pid)
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if self.guarded and self._gone(grace):
            return
        self._signal(signal.SIGTERM)
        if not self._gone(grace):
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            self._gone(grace)
        if not self.guarded:
            _end([*below, *_strays()], grace)

    def last_lines(self) -> str:
        """The end of its log on one line, for an error."""
        # It may have said a gigabyte, or that much without a line end; what bound_log moved comes before.
        moved = self.log.with_name(f"{self.log.name}.1")
        ends = [_tail(path) for path in (moved, self.log) if path.is_file()]
        said = b"".join(ends)[-TAIL_BYTES:].decode("utf-8", "replace")
        lines = [line.strip()[-LINE_CHARS:] for line in said.splitlines() if line.strip()]
        if any(line.startswith("Traceback") for line in lines):
            lines = lines[-1:]  # a Python program's own last word
        return " | ".join(lines[-LOG_LINES:]) or "it said nothing"

    def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive() or self._group_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _group_alive(self) -> bool:
        if sys.platform == "win32":
            return False
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        # A zombie that a slow init has yet to reap still counts for killpg, but runs no more.
        return any(_runs_in_group(pid, self.pid) for pid in psutil.pids())

    def _signal(self, signum: int) -> None:
        if sys.platform == "win32":
            self.process.terminate()
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)


def _below(pid: int) -> list[psutil.Process]:
    """What a process started, and they, whatever group or session they are in."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _strays() -> list[psutil.Process]:
    """What somebody else's server left behind: orphans come to us (lifeline.adopt_orphans)."""
    if not lifeline.adopts_orphans():
        return []
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            # What our caller started otherwise has not been given our mark.
            if child.pid not in _OURS and child.environ().get(PARENT) == str(os.getpid()):
                found += [child, *_below(child.pid)]
    return found


def _end(processes: Sequence[psutil.Process], grace: float) -> None:
    for signum in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signum)
        _, processes = psutil.wait_procs(processes, timeout=grace)
        if not processes:
            return


def _runs_in_group(pid: int, group: int) -> bool:
    try:
        return group_of(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def group_of(pid: int) -> int | None:
    """The process group of a process that lives, where there are such."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return os.getpgid(pid)
    return None


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read(TAIL_BYTES)
