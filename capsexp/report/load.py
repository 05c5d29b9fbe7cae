"""Reading a sweep's directory back into values. What is in it may have been cut short, edited or made by somebody else:
one run that cannot be read costs that run, and a path that stands in a file leads nowhere but into the sweep."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsexp.counts import counted
from capsexp.errors import ArchiveError
from capsexp.files import read_json

_TEXT = frozenset({"task_id", "sample", "status", "error", "role", "event", "reason", "kind", "name"})
TABLES = ("requests", "segments", "monitor", "workers", "faults", "neighbours", "gpu")
RUN_DIR = re.compile(r"\d+-[A-Za-z0-9=.,_+-]+")
CONTROL = re.compile(r"[0-9a-f]{6,64}")  # a control's folder
_OPTIONAL = (type(None),)
# What reports are made of, by type; anything else in these files is looked at where it is used.
_SWEEP: dict[str, tuple[type, ...]] = {
    "name": (str,), "argv": (list,), "planned": (list,), "interrupted": (bool,), "thresholds": (dict,),
    "report": (dict,), "validity": (dict, *_OPTIONAL), "trials": (int, str), "trials_max": (int,),
}  # fmt: skip
_PLANNED: dict[str, tuple[type, ...]] = {"num": (int,), "dir": (str,), "key": (str,), "trial": (int,)}
_RUN: dict[str, tuple[type, ...]] = {
    "num": (int,), "key": (str,), "trial": (int,), "status": (str,), "error": (str, *_OPTIONAL),
    "workers": (int, *_OPTIONAL), "threads": (int, *_OPTIONAL), "pool": (str,), "engine": (str,),
    "engine_about": (dict, *_OPTIONAL), "dispatch": (str,), "config": (dict,), "control": (str, *_OPTIONAL),
    "phases_s": (dict,), "window_s": (dict,), "samples": (list,), "skipped": (list,), "cpu_count": (int,),
    "warnings": (list,), "metrics": (dict, *_OPTIONAL), "server": (str, *_OPTIONAL), "twin": (bool, *_OPTIONAL),
}  # fmt: skip
_CONTROL: dict[str, tuple[type, ...]] = {"engine": (str,), "threads": (int,), "texts": (dict,), "runs": (list,)}

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
    gpu: list[Row] = field(repr=False, default_factory=list)
    probes: dict[str, Any] = field(repr=False, default_factory=dict)  # what the monitor asked


@dataclass(frozen=True)
class SweepFiles:
    """`missing` were planned and cannot be used; `why` says what is wrong with one of them, where more is known than
    that it is not there. `notes` limit what the figures mean."""

    sweep: dict[str, Any]
    environment: dict[str, Any]
    runs: list[RunFiles]
    missing: list[dict[str, Any]]
    controls: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)


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


def read_plan(folder: Path) -> dict[str, Any]:
    """sweep.json, checked: what was asked for, and the folders of its runs. Raises ArchiveError."""
    try:
        sweep = read_json(folder / "sweep.json")
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: not the folder of a sweep (no sweep.json)") from None
    except (ValueError, OSError) as error:
        raise ArchiveError(f"{folder}: sweep.json cannot be read: {error}") from None
    wrong = _wrong(sweep, _SWEEP)
    if not wrong:
        wrong = next((w for one in sweep["planned"] if (w := _wrong(one, _PLANNED))), "")
    if not wrong and not all(isinstance(word, str) for word in sweep["argv"]):
        wrong = "argv is not a list of words"
    if wrong:
        raise ArchiveError(f"{folder}: sweep.json is damaged or edited: {wrong}")
    for one in sweep["planned"]:
        if not RUN_DIR.fullmatch(one["dir"]):
            raise ArchiveError(f"{folder}: sweep.json names a run outside: {one['dir']!r}")
    for name in ("dir", "num"):
        if len({one[name] for one in sweep["planned"]}) != len(sweep["planned"]):
            raise ArchiveError(f"{folder}: sweep.json is damaged or edited: two runs have one {name}")
    return dict(sweep)


def read_sweep(folder: Path) -> SweepFiles:
    """Everything a report is made of; raises ArchiveError when `folder` is not a sweep's."""
    sweep = read_plan(folder)
    runs, missing, notes = [], [], []
    for planned in sweep["planned"]:
        here = folder / planned["dir"]
        try:
            if here.is_symlink():
                raise ValueError("its folder is a link")
            runs.append(read_run(here))
        except FileNotFoundError:
            missing.append(planned)
        except (ValueError, OSError) as error:
            missing.append({**planned, "why": f"damaged or edited: {error}"})
    controls = {}
    for path in sorted(folder.glob("control/*/control.json")):
        try:
            controls[path.parent.name] = _checked(read_json(path), _CONTROL, path.name)
        except (ValueError, OSError) as error:
            notes.append(f"control {path.parent.name} is damaged or edited: {error}")
    environment = _environment(folder / "environment.json", notes)
    notes += _elsewhere(environment, [files.run for files in runs])
    notes += thresholds_said(sweep)
    return SweepFiles(sweep, environment, runs, missing, controls, notes)


def read_run(folder: Path) -> RunFiles:
    """A run's files. Raises FileNotFoundError where it has no run.json, ValueError for what is damaged."""
    run = _checked(read_json(folder / "run.json"), _RUN, "run.json")
    if run["status"] != "running":  # else they are being written
        _whole(folder, run)
    texts = {path.stem: read_json(path) for path in sorted((folder / "transcripts").glob("*.json"))}
    if not all(isinstance(text, dict) for text in texts.values()):
        raise ValueError("a transcript is not a JSON object")
    tables = {name: read_rows(folder / f"{name}.csv") for name in TABLES}
    return RunFiles(run=run, transcripts=texts, probes=_probes(folder / "probes.json"), **tables)


def sizes(folder: Path) -> dict[str, int]:
    """The bytes of a run's tables, others' probes' too, which run.json keeps, so that a torn one can be told."""
    paths = [*(folder / f"{name}.csv" for name in TABLES), *sorted(folder.glob("probe-*.csv"))]
    return {path.name: path.stat().st_size for path in paths if path.is_file()}


def _probes(path: Path) -> dict[str, Any]:
    """What it says beside what the tables hold: no run is lost with it."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    known = found.items() if isinstance(found, dict) else ()
    return {name: said for name, said in known if isinstance(said, dict)}


def _whole(folder: Path, run: Mapping[str, Any]) -> None:
    now, before = sizes(folder), run.get("tables")
    if not isinstance(before, dict):  # of an earlier version
        before = {name: size for name, size in now.items() if _ends(folder / name)}
        torn = [f"{name} ends in the middle of a row" for name in now if name not in before]
    else:
        torn = [f"{name} has {now.get(name, 0)} of {n} bytes" for name, n in before.items() if now.get(name, 0) != n]
    if torn:
        others = f", and {counted(len(torn) - 1, 'more table')}" if len(torn) > 1 else ""
        raise ValueError(f"{torn[0]}{others}")


def _ends(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 1))
        return size == 0 or file.read() == b"\n"


def _checked(value: Any, types: Mapping[str, tuple[type, ...]], name: str) -> dict[str, Any]:
    if wrong := _wrong(value, types):
        raise ValueError(f"{name}: {wrong}")
    return dict(value)


def _wrong(value: Any, types: Mapping[str, tuple[type, ...]]) -> str:
    if not isinstance(value, dict):
        return "is not a JSON object"
    for key, allowed in types.items():
        if key not in value:
            if type(None) not in allowed:
                return f"has no {key}"
        elif not isinstance(value[key], allowed) or (isinstance(value[key], bool) and bool not in allowed):
            return f"{key} is {str(value[key])[:40]!r}"
    return ""


def _environment(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        found = read_json(path)
        if isinstance(found, dict):
            return found
        notes.append(f"{path.name} is damaged or edited: is not a JSON object")
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        notes.append(f"{path.name} is damaged or edited: {error}")
    return {}


def _elsewhere(environment: Mapping[str, Any], runs: list[dict[str, Any]]) -> list[str]:
    """Runs that were made on another machine or with other software than the one that environment.json tells."""
    found = []
    for run in runs:
        own = run.get("environment")
        if not isinstance(own, dict):
            continue
        other = [key for key in own if key != "models" and key in environment and own[key] != environment[key]]
        if other:
            found.append(f"{run['key']}, run {run['num']} was made in another environment: {', '.join(sorted(other))}")
    return found


def thresholds_said(sweep: Mapping[str, Any]) -> list[str]:
    """What was demanded of the runs when they were made, where it was changed afterwards."""
    before, now = sweep.get("thresholds_before"), sweep["thresholds"]
    if not isinstance(before, dict):
        return []
    changed = [
        f"{key} {before.get(key)} -> {now.get(key)}" for key in {**before, **now} if before.get(key) != now.get(key)
    ]
    return [f"thresholds were changed after the runs were made: {', '.join(changed)}"] if changed else []


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
