"""A tool of ours, or a server of somebody's, as a child in a process group of its own that is always taken down: all
that an experiment starts is started here."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import psutil

from capsexp import lifeline
from capsexp.errors import HarnessError, StorageError
from capsexp.experiment.logs import BoundedLog, Pump
from capsexp.files import remedy, try_room
from capsexp.tool import PARENT
from capsexp.waiting import ends, wait_until

POLL_S = 0.01
LOOK_S = 0.25  # between two looks at whether somebody wants us to end, while we wait for a child at work
DRAIN_S = 1.0  # for the last words of one that has ended to be in its log
START_S = 30.0  # for a leash to start a command
LOG_LINES = 5
TAIL_BYTES = 64 * 1024  # of a log that are looked at for an error
LINE_CHARS = 400  # of each of its lines
_OUT_OF = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # what keeps any command from being started
_OURS: set[int] = set()  # the processes that are children of ours by our own doing


class Supervised:
    """A process whose stdin we hold: closing it is the request to stop that our own tools listen to. `out` and `err`:
    stdout and stderr of subprocess. Raises HarnessError, with `name`, where the machine has no room for a process."""

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        env: Mapping[str, str] | None = None,
        out: int | None = None,
        err: int | None = None,
        keep: Sequence[int] = (),
        cwd: str | None = None,
    ) -> None:
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C in the terminal reaches the runner alone, which then stops in order
                pass_fds=keep,
                env={**os.environ, PARENT: str(os.getpid()), **(env or {})},
                cwd=cwd,
            )
        except OSError as error:
            if error.errno not in _OUT_OF:
                raise
            said = f"{name} cannot be started: {error.strerror}"
            raise HarnessError(f"{said}; {remedy(said)}") from None
        _OURS.add(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def root(self) -> int:
        """The process of which it is made: itself, or the command that it only holds."""
        return self.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def say(self, line: str) -> None:
        """A line to its stdin; a child that has gone is noticed elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def wait(self, seconds: float) -> bool:
        """Whether it ended by itself in that time. Nothing is polled where the system tells of its end: whoever waits
        would take CPU time from what is measured."""
        if sys.platform == "linux" and hasattr(os, "pidfd_open") and self.alive():
            with contextlib.suppress(OSError):  # an old kernel, or it has just gone
                end = os.pidfd_open(self.pid)
                try:
                    ends(end, seconds)
                finally:
                    os.close(end)
                return not self.alive()
        try:
            self.process.wait(max(0.0, seconds))  # Windows tells of its end; elsewhere Python looks every 50 ms at most
        except subprocess.TimeoutExpired:
            return False
        return True

    def done(self, seconds: float, meanwhile: Callable[[], None], look_s: float = LOOK_S) -> bool:
        """As `wait`, with `meanwhile` called every `look_s`; what that raises ends the wait."""
        return wait_until(lambda: self.wait(look_s), seconds, 0.0, meanwhile)

    def stop(self, grace: float) -> None:
        """By request, then SIGTERM, then SIGKILL to the whole group, each after `grace` seconds; then none is left."""
        for ask in self._ways():
            ask()
            if self._gone(grace):
                break

    def kill(self, grace: float) -> None:
        """At once; `grace` seconds for the system to be done with it."""
        self._kill()
        self._gone(grace)

    def _ways(self) -> Sequence[Callable[[], None]]:
        """To end it, the mildest first."""
        return self._close_stdin, self._terminate, self._kill

    def _close_stdin(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _gone(self, seconds: float) -> bool:
        return wait_until(lambda: not (self.alive() or self._group_alive()), seconds, POLL_S)

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


class Child(Supervised):
    """Output goes to `log`, of which only the end is kept. Raises StorageError, and HarnessError where the machine has
    no room for a process."""

    OURS = True

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
        cwd: str | None = None,
    ) -> None:
        self.log = log
        out, env = BoundedLog(log), {"PYTHONUNBUFFERED": "1", **(env or {})}
        try:
            super().__init__(command, log.stem, env, subprocess.PIPE, subprocess.STDOUT, keep, cwd)
        except BaseException:
            out.close()
            raise
        assert self.process.stdout is not None
        self._pump = Pump(self.process.stdout, out)

    def stop(self, grace: float) -> None:
        super().stop(grace)
        self._pump.end(DRAIN_S)

    def check_storage(self) -> None:
        """Raises StorageError when it ended because it could not write. With that code of somebody else's server
        nothing is said."""
        if self.OURS and self.process.poll() == StorageError.EXIT:
            _, found, said = self.last_lines().rpartition("cannot write ")
            if not found:  # its log is on that disk, too
                try_room(self.log.parent)
            raise StorageError(f"cannot write {said}" if found else f"{self.log.stem} could not write")

    def last_lines(self) -> str:
        """The end of its log on one line, for an error."""
        if not self.alive():
            self._pump.drained(DRAIN_S)
        # It may have said a gigabyte, or that much without a line end; what was moved to make room comes before.
        moved = self.log.with_name(f"{self.log.name}.1")
        ends = [_tail(path) for path in (moved, self.log) if path.is_file()]
        said = b"".join(ends)[-TAIL_BYTES:].decode("utf-8", "replace")
        lines = [line.strip()[-LINE_CHARS:] for line in said.splitlines() if line.strip()]
        if any(line.startswith("Traceback") for line in lines):
            lines = lines[-1:]  # a Python program's own last word
        return " | ".join(lines[-LOG_LINES:]) or "no output"


class Foreign(Child):
    """Somebody else's server, which knows nothing of us: held by a leash, where the platform has process groups, so
    that all that it started ends, also when we are killed. Raises OSError or ValueError where it cannot be started."""

    OURS = False

    def __init__(
        self, command: Sequence[str], log: Path, env: dict[str, str] | None = None, cwd: str | None = None
    ) -> None:
        self._root: int | None = None  # until it is known
        self._before = {child.pid for child in psutil.Process().children()}
        if sys.platform == "win32":
            super().__init__(command, log, env, cwd=cwd)
            return
        lifeline.adopt_orphans()
        ours, theirs = os.pipe()
        with open(ours, "rb") as report:
            try:
                super().__init__(python("capsexp.lifeline", str(theirs), *command), log, env, (theirs,), cwd)
            finally:
                os.close(theirs)
            said, _, _ = select.select([report], [], [], START_S)
            line = os.read(ours, 4096).decode().strip() if said else f"its leash said nothing for {START_S:g} s"
        if not line.isdigit():
            self.stop(1.0)
            raise OSError(line or self.last_lines())
        self._root = int(line)

    @property
    def root(self) -> int:
        return self.pid if self._root is None else self._root

    def _ways(self) -> Sequence[Callable[[], None]]:
        return self._terminate, self._close_stdin, self._kill  # the leash kills where ours are asked

    def _signal(self, signum: int) -> None:
        super()._signal(signum)
        if self._root is None or not self.alive():
            return
        if sys.platform != "win32" and group_of(self._root) not in (None, self.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._root, signum)  # it has taken a session of its own

    def stop(self, grace: float) -> None:
        below = _below(self.pid)
        super().stop(grace)
        _end([*below, *_strays(self._before)], grace)  # of a leash that was killed


def _below(pid: int) -> list[psutil.Process]:
    """What a process started, and they, whatever group or session they are in."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _strays(before: Collection[int]) -> list[psutil.Process]:
    """What somebody else's server left behind: orphans come to us (lifeline.adopt_orphans). `before`: the children that
    we had when it was started."""
    if not lifeline.adopts_orphans():
        return []
    strays = [child for child in psutil.Process().children() if child.pid not in _OURS and child.pid not in before]
    return [process for stray in strays for process in (stray, *_below(stray.pid))]


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
