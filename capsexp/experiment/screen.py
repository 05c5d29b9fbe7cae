"""How a sweep shows itself on a terminal: by a process of its own, which reads the files that the sweep writes and
shows what it says meanwhile. The sweep goes on whatever becomes of it, and its lines then stand there as they are."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from capsexp.experiment.child import python
from capsexp.files import note

READY_S = 5.0  # for it to be there before anything is measured
END_S = 3.0  # for it to show the last lines


@contextlib.contextmanager
def shown(folder: Path, wanted: bool) -> Iterator[None]:
    """Show a sweep meanwhile, where somebody looks and wants it."""
    screen = None
    if wanted and sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(OSError):  # nor is it worth a sweep to begin
            screen = Screen(folder)
    try:
        yield
    finally:
        if screen is not None:
            screen.close()


class Screen:
    """What goes to stderr, of the runs as well, goes into a file that the view shows above itself. Where the view ends
    before us, stderr is again what it was, and what the view may not have shown is said once more."""

    def __init__(self, folder: Path) -> None:
        sys.stderr.flush()
        self._terminal = os.dup(2)
        fd, name = tempfile.mkstemp(prefix="capsexp-", suffix=".said")
        self._name, self._said = Path(name), open(name, "rb")  # noqa: SIM115
        self._lock, self._open, self._over = threading.Lock(), True, False
        try:
            self._view = subprocess.Popen(
                python("capsexp.live", str(folder), "--said", name, "--stdin-guard"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._terminal,
            )  # fmt: skip
            self._ready()
            with contextlib.suppress(OSError):
                self._name.unlink()  # both have it open: nothing is left of it if we are killed
            os.set_inheritable(fd, True)
            os.dup2(fd, 2)
        except BaseException:
            self._restore(failed=False)
            raise
        finally:
            os.close(fd)
        threading.Thread(target=self._wait, daemon=True).start()

    def close(self) -> None:
        sys.stderr.flush()
        self._over = True
        assert self._view.stdin is not None
        with contextlib.suppress(OSError):
            self._view.stdin.close()
        try:
            self._view.wait(END_S)
        except subprocess.TimeoutExpired:
            self._view.kill()
            self._view.wait()
        self._restore(failed=self._view.returncode != 0)

    def _ready(self) -> None:
        """Its start takes a second of CPU, which no run is to notice."""
        assert self._view.stdout is not None
        with self._view.stdout as out:
            if sys.platform != "win32":
                select.select([out], [], [], READY_S)

    def _wait(self) -> None:
        code = self._view.wait()
        if not self._over:
            self._restore(failed=True)
            note(f"the live view has ended (code {code}); the sweep goes on, and python -m capsexp.live shows it again")

    def _restore(self, failed: bool) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
            sys.stderr.flush()
            os.dup2(self._terminal, 2)
            os.close(self._terminal)
            with contextlib.suppress(OSError), self._said as file:
                if failed and (said := file.read().decode("utf-8", "replace")):
                    sys.stderr.write("\x1b[?25h\n" + said)  # the cursor, which it may have hidden
                    sys.stderr.flush()
            with contextlib.suppress(OSError):
                self._name.unlink()  # where what is open cannot be removed
