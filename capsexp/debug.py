"""What only we want to see: tracebacks, in the run's debug.log. A user is told one line.

No exception of ours may disappear: what is caught because the work must go on is given to `told`, which keeps it.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from capsexp.files import read_whole, write_text

FILE = "debug.log"
log = logging.getLogger("capsexp")
log.addHandler(logging.NullHandler())  # or Python would show tracebacks to the user where nobody keeps them
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


class _Once(logging.Handler):
    """Gathers what is logged, without times and processes, so that a thing that is done again says the same again."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{self.format(record)}\n\n")


@contextmanager
def kept_once(folder: Path) -> Iterator[None]:
    """The errors that are logged meanwhile are kept in the debug.log of a sweep's folder, each once however often the
    same is done there. Raises StorageError.

    The folder may be anybody's: what is written takes the place of a link, and does not go where it leads."""
    root, once, path = logging.getLogger(), _Once(), folder / FILE
    root.addHandler(once)
    try:
        yield
    finally:
        root.removeHandler(once)
    try:
        known = "" if path.is_symlink() else read_whole(path).decode("utf-8", "replace")
    except (FileNotFoundError, ValueError):  # no regular file, or larger than any of ours
        known = ""
    if new := [said for said in dict.fromkeys(once.said) if said not in known]:
        write_text(path, known + "".join(new))


class Brief(logging.Formatter):
    """For who looks on: a line, as the traceback is in the run's debug.log; where there is none (`alone`), also the way
    to the fault, without the exception's own words: they may hold what somebody has dictated."""

    def __init__(self, alone: bool) -> None:
        super().__init__("%(levelname)s %(message)s")
        self._alone = alone

    def format(self, record: logging.LogRecord) -> str:
        line = self.formatMessage(logging.makeLogRecord({**vars(record), "message": record.getMessage()}))
        trace = record.exc_info[2] if record.exc_info and self._alone else None
        return "\n".join([line, *(part.rstrip() for part in traceback.format_tb(trace))])


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
