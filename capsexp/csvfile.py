"""Writing tables: rows survive a crash, and a table has a bound, however long it is written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from capsexp.files import beside, storing


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A whole table at once. Raises StorageError."""
    with storing(path.name), path.open("w", encoding="utf-8", newline="") as file:
        table = CsvFile(file, columns)
        for row in rows:
            table.write(row)


class CsvFile:
    """Rows by column name; a missing or None value is an empty cell, floats are rounded to six decimals."""

    def __init__(self, file: TextIO, columns: Sequence[str], header: bool = True) -> None:
        self._file = file
        self._columns = columns
        self._name = Path(file.name).name
        self._writer = csv.writer(file, lineterminator="\n")
        if header:
            with storing(self._name):
                self._writer.writerow(columns)

    def write(self, row: Mapping[str, Any]) -> None:
        with storing(self._name):
            self._writer.writerow([_cell(row.get(column)) for column in self._columns])

    def flush(self) -> None:
        with storing(self._name):
            self._file.flush()


class BoundedCsv:
    """A table of at most `most` groups of rows. When it is full, every second group is removed,
    and from then on one of every two (four, ...) is kept, so that the rest is spread evenly over the whole time. Of the
    groups that a kept one stands for it has the largest `weight`; the very last group is kept as well."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        most: int,
        weight: Callable[[Sequence[Mapping[str, Any]]], float] = lambda rows: 0.0,
    ) -> None:
        self.every = 1  # groups that one stands for
        self._path, self._columns, self._most, self._weight = path, columns, most, weight
        self._kept: list[tuple[int, float, int]] = []  # of each group in the file: rows, weight, number
        self._best: tuple[float, int, Sequence[Mapping[str, Any]]] | None = None
        self._last: Sequence[Mapping[str, Any]] = ()
        self._seen = 0
        with storing(path.name):
            self._file = path.open("w", encoding="utf-8", newline="")
        self._table = CsvFile(self._file, columns)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One group; raises StorageError."""
        weight = self._weight(rows)
        self._seen, self._last = self._seen + 1, rows
        if self._best is None or weight > self._best[0]:
            self._best = (weight, self._seen, rows)
        if self._seen % self.every == 0:
            self._put()

    def flush(self) -> None:
        self._table.flush()

    def close(self) -> None:
        if self._best is not None:
            self._put()
        if self._seen and (not self._kept or self._kept[-1][2] != self._seen):
            self._best = (0.0, self._seen, self._last)
            self._append()  # a table that is halved now might lose it
        with storing(self._path.name):
            self._file.close()

    def _put(self) -> None:
        self._append()
        if len(self._kept) > self._most:
            self._halve()

    def _append(self) -> None:
        assert self._best is not None
        weight, number, rows = self._best
        self._best = None
        for row in rows:
            self._table.write(row)
        self._kept.append((len(rows), weight, number))

    def _halve(self) -> None:
        """Rewrite the file beside itself; of every two groups the heavier stays."""
        self.flush()
        part = beside(self._path)
        kept: list[tuple[int, float, int]] = []
        with storing(self._path.name):
            out = part.open("w", encoding="utf-8", newline="")
            # A cell never holds the end of a line: ids are printable, and texts are kept elsewhere.
            with self._path.open(encoding="utf-8", newline="") as lines:
                out.write(next(lines))
                for at in range(0, len(self._kept), 2):
                    pair = self._kept[at : at + 2]
                    blocks = [[next(lines) for _ in range(count)] for count, _, _ in pair]
                    heavier = int(len(pair) == 2 and pair[1][1] > pair[0][1])
                    out.writelines(blocks[heavier])
                    kept.append(pair[heavier])
            self._file.close()
            part.replace(self._path)
        self._kept, self.every, self._file = kept, 2 * self.every, out
        self._table = CsvFile(out, self._columns, header=False)


def _cell(value: Any) -> Any:
    return "" if value is None else (f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value)
