"""Reading a run's tables: CSV, a row each as values by column. Columns are in docs/reference/files.md."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, cast

from capsexp.results.rows import FaultRow, PacketRow, RequestRow, Row, SegmentRow, WorkerRow

TABLES = ("requests", "packets", "segments", "monitor", "workers", "faults", "neighbours", "gpu", "speed")
SERVER_ROLES = ("gateway", "loader", "worker", "helper")  # of the processes of which a server is made
_ROLES = {"front": "gateway"}  # what older runs' tables say
_TEXT = frozenset({"task_id", "sample", "status", "error", "event", "reason", "kind", "name", "class"})


def read_rows(path: Path) -> list[Row]:
    """A CSV's rows with numbers as numbers and empty cells as None; no rows where there is no file. Raises ValueError
    for what is no table."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {key: _value(key, cell) for key, cell in row.items() if key is not None} for row in csv.DictReader(file)
            ]
    except csv.Error as error:
        raise ValueError(f"{path.name}: {error}") from None


def read_requests(folder: Path) -> list[RequestRow]:
    """As `read_rows`, of a run's requests.csv; the next ones likewise."""
    return cast(list[RequestRow], read_rows(folder / "requests.csv"))


def read_packets(folder: Path) -> list[PacketRow]:
    return cast(list[PacketRow], read_rows(folder / "packets.csv"))


def read_segments(folder: Path) -> list[SegmentRow]:
    return cast(list[SegmentRow], read_rows(folder / "segments.csv"))


def read_workers(folder: Path) -> list[WorkerRow]:
    return cast(list[WorkerRow], read_rows(folder / "workers.csv"))


def read_faults(folder: Path) -> list[FaultRow]:
    return cast(list[FaultRow], read_rows(folder / "faults.csv"))


def sizes(folder: Path) -> dict[str, int]:
    """The bytes of a run's tables, others' probes' too, which run.json keeps, so that a torn one can be told."""
    paths = [*(folder / f"{name}.csv" for name in TABLES), *sorted(folder.glob("probe-*.csv"))]
    return {path.name: path.stat().st_size for path in paths if path.is_file()}


def ends(path: Path) -> bool:
    """Whether a table's last row is whole."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return size == 0 or file.read() == b"\n"


def _value(key: str, cell: str | None) -> Any:
    if cell is None or cell == "":
        return None
    if key == "role":
        return _ROLES.get(cell, cell)
    if key in _TEXT:
        return cell
    try:
        return int(cell)
    except ValueError:
        try:
            return float(cell)
        except ValueError:
            return cell
