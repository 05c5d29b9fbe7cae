"""Reading a sweep's directory back into values."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsexp.errors import ArchiveError
from capsexp.files import read_json

_TEXT = frozenset({"task_id", "sample", "status", "error", "role", "event", "reason", "kind", "name"})

Row = dict[str, Any]


@dataclass(frozen=True)
class RunFiles:
    """A run's files as values; what is not there is empty."""

    run: dict[str, Any]
    requests: list[Row] = field(repr=False)
    transcripts: dict[str, dict[str, Any]] = field(repr=False)
    segments: list[Row] = field(repr=False)
    monitor: list[Row] = field(repr=False)
    workers: list[Row] = field(repr=False, default_factory=list)
    faults: list[Row] = field(repr=False, default_factory=list)
    neighbours: list[Row] = field(repr=False, default_factory=list)


@dataclass(frozen=True)
class SweepFiles:
    sweep: dict[str, Any]
    environment: dict[str, Any]
    runs: list[RunFiles]
    missing: list[dict[str, Any]]  # planned, but without a run.json
    controls: dict[str, dict[str, Any]]


def read_rows(path: Path) -> list[Row]:
    """A CSV's rows with numbers as numbers and empty cells as None; no rows where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: _value(key, cell) for key, cell in row.items() if key is not None} for row in csv.DictReader(file)
        ]


def read_sweep(folder: Path) -> SweepFiles:
    """Everything a report is made of; raises ArchiveError when `folder` is not a sweep's."""
    try:
        sweep = read_json(folder / "sweep.json")
        runs, missing = [], []
        for planned in sweep["planned"]:
            here = folder / planned["dir"]
            if here.parent != folder:
                raise ArchiveError(f"{folder}: sweep.json names a run outside: {planned['dir']!r}")
            if not (here / "run.json").is_file():
                missing.append(planned)
                continue
            texts = {path.stem: read_json(path) for path in sorted((here / "transcripts").glob("*.json"))}
            names = ("requests", "segments", "monitor", "workers", "faults", "neighbours")
            requests, *rest = (read_rows(here / f"{n}.csv") for n in names)
            runs.append(RunFiles(read_json(here / "run.json"), requests, texts, *rest))
        found = {path.parent.name: read_json(path) for path in sorted(folder.glob("control/*/control.json"))}
        environment = folder / "environment.json"
        return SweepFiles(sweep, read_json(environment) if environment.is_file() else {}, runs, missing, found)
    except FileNotFoundError as error:
        raise ArchiveError(f"{folder}: not the folder of a sweep (no {Path(error.filename).name})") from None
    except (ValueError, KeyError, OSError) as error:
        raise ArchiveError(f"{folder}: cannot be read: {error}") from None


def _value(key: str, cell: str | None) -> Any:
    if cell is None or cell == "":
        return None
    if key in _TEXT:
        return cell
    try:
        return int(cell)
    except ValueError:
        try:
            return float(cell)
        except ValueError:
            return cell
