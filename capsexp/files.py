"""Writing so that a reader never sees half a file, what is written survives a power cut, and rows survive a crash.

Everything here that writes raises StorageError, in one line, when the disk is full, read-only or gone.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

from capsexp.errors import StorageError

PART = ".part"  # ends the name of a file that is being written


@contextlib.contextmanager
def storing(name: str) -> Iterator[None]:
    """OSError -> StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {name}: {error.strerror or error}") from None


def write_text(path: Path, text: str) -> None:
    """Replace the whole file at once: after a crash it is the old or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with storing(path.name):
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                sync(file)
            put(beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise


def put(part: Path, path: Path) -> None:
    """Let a file that was written and synced take its place; raises OSError."""
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the platform can; raises OSError."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(folder: Path) -> None:
    """Make durable what others wrote below a folder."""
    with storing(folder.name):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            elif path.is_dir():
                sync_folder(path)
        sync_folder(folder)


def clear_parts(folder: Path) -> None:
    """Remove what writers that were killed left half done."""
    for path in folder.rglob(f".*{PART}"):
        with contextlib.suppress(OSError):
            path.unlink()


def tell(line: str, out: TextIO | None = None) -> None:
    """A line for whoever looks (stdout by default): a full disk below the log must not end a server."""
    with contextlib.suppress(OSError):
        print(line, file=out or sys.stdout, flush=True)


def sync(file: IO[Any]) -> None:
    """Make durable what was written so far; raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """As write_text; NaN is an error, as no other program could read it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with storing(path.name), path.open("w", encoding="utf-8", newline="") as file:
        table = CsvFile(file, columns)
        for row in rows:
            table.write(row)


class CsvFile:
    """Rows by column name; a missing or None value is an empty cell, floats are rounded to a microsecond."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self._name = Path(file.name).name
        self._writer = csv.writer(file, lineterminator="\n")
        with storing(self._name):
            self._writer.writerow(columns)

    def write(self, row: Mapping[str, Any]) -> None:
        with storing(self._name):
            self._writer.writerow([_cell(row.get(column)) for column in self._columns])

    def flush(self) -> None:
        with storing(self._name):
            self._file.flush()


def _cell(value: Any) -> Any:
    return "" if value is None else (f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value)
