"""Writing so that a reader never sees half a file, and rows that survive a crash."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO


def write_text(path: Path, text: str) -> None:
    """Replace the whole file at once."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def write_json(path: Path, value: Any) -> None:
    """As write_text; NaN is an error, as no other program could read it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = CsvFile(file, columns)
        for row in rows:
            table.write(row)


class CsvFile:
    """Rows by column name; a missing or None value is an empty cell, floats are rounded to a microsecond."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, row: Mapping[str, Any]) -> None:
        self._writer.writerow([_cell(row.get(column)) for column in self._columns])

    def flush(self) -> None:
        self._file.flush()


def _cell(value: Any) -> Any:
    return "" if value is None else (f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value)
