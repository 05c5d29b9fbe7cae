"""What only we want to see: tracebacks, in the run's debug.log. A user is told one line.

No exception of ours may disappear: what is caught because the work must go on is given to `told`, which keeps it.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from pathlib import Path
from types import TracebackType

FILE = "debug.log"
log = logging.getLogger("capsexp")
_PACKAGE = Path(__file__).resolve().parent


class _Handler(logging.FileHandler):
    """Made when there is something to write; a disk that is full must not end what was going on."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def keep(run_dir: Path | None) -> None:
    """From now on the errors that this process logs are kept in this run's debug.log too, and in no other's."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(handler)
        handler.close()
    if run_dir is not None:
        ours = _Handler(run_dir / FILE, encoding="utf-8", errors="backslashreplace", delay=True)
        program = Path(sys.argv[0]).parent.name or "capsexp"
        ours.setFormatter(logging.Formatter(f"%(asctime)s {program}[%(process)d] %(name)s: %(message)s"))
        ours.setLevel(logging.ERROR)
        root.addHandler(ours)


def told(error: BaseException, doing: str = "") -> str:
    """Keep a fault of ours with its traceback; the line that says what it was and where to read on."""
    said = next(iter(str(error).splitlines()), "")
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    line = f"a fault of capsexp{f' {doing}' if doing else ''}: {what}{_where(error.__traceback__)}"
    if _kept():
        log.error(line, exc_info=error)
        return f"{line}; the traceback is in {FILE}"
    return f"{line}; the traceback is in {_aside(error)}"


def _kept() -> bool:
    return any(isinstance(handler, _Handler) for handler in logging.getLogger().handlers)


def _aside(error: BaseException) -> str:
    """Of a tool that has no run: a file of its own."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="capsexp-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(type(error), error, error.__traceback__))
        return name
    except OSError:
        return "no file, as none could be written"


def _where(trace: TracebackType | None) -> str:
    """The last line of ours on the way to it."""
    ours = [f for f in traceback.extract_tb(trace) if Path(f.filename).resolve().is_relative_to(_PACKAGE)]
    return f" ({Path(ours[-1].filename).resolve().relative_to(_PACKAGE).as_posix()}:{ours[-1].lineno})" if ours else ""
