"""The rows that a table has gained since it was last read, while somebody writes it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

MOST = 1 << 22  # bytes that are read at once; of more, the last so many


class Growing:
    """A CSV file that grows. `again` says, after `rows`, that it was written anew: what was read before is void."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._inode, self._columns = path, 0, -1, list[str]()
        self.again = False

    def rows(self) -> Iterator[dict[str, str]]:
        """Whole rows only: the last one may be half written. Raises OSError where the file cannot be read."""
        with self._path.open("rb") as file:
            about = os.fstat(file.fileno())
            self.again = self._inode != -1 and (about.st_ino != self._inode or about.st_size < self._at)
            if self.again or self._inode == -1:
                self._at, self._inode = 0, about.st_ino
            if self._at == 0:
                head = file.readline()
                if not head.endswith(b"\n"):
                    return
                self._columns, self._at = next(csv.reader([head.decode("utf-8", "replace")])), len(head)
            start = max(self._at, about.st_size - MOST)
            file.seek(start)
            block = file.read(MOST)
        whole = block[: block.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", "replace").splitlines()
        torn = start > self._at  # of the first line only the end was read
        self._at = start + len(whole)
        for cells in csv.reader(lines[1:] if torn else lines):
            if len(cells) == len(self._columns):
                yield dict(zip(self._columns, cells, strict=True))
