"""Reading a sweep's directory back into values. What is in it may have been cut short, edited or made by somebody else:
one run that cannot be read costs that run, and a path that stands in a file leads nowhere but into the sweep."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from capsexp import engines
from capsexp.counts import counted
from capsexp.errors import ArchiveError
from capsexp.files import read_json
from capsexp.renamed import renewed
from capsexp.results import tables
from capsexp.results.attempts import place
from capsexp.results.forms import known, named, typed
from capsexp.results.report import SCHEMA, Report
from capsexp.results.rows import FaultRow, PacketRow, RequestRow, Row, SegmentRow, WorkerRow
from capsexp.results.run import READ, ClientFacts, ProbeFacts, Reference, Run, SampleTexts, SegmentCounts, Tree
from capsexp.results.sweep import PlannedRun, Sweep, read_plan
from capsexp.results.tables import ends, sizes
from capsexp.results.verdicts import Status
from capsexp.runfiles import CLIENT

REFERENCE = re.compile(r"[0-9a-f]{6,64}")  # a reference's folder
T = TypeVar("T")


@dataclass(frozen=True)
class RunFiles:
    """A run's files as values; what is not there is empty."""

    run: Run
    requests: list[RequestRow] = field(repr=False, default_factory=list)
    transcripts: dict[str, SampleTexts] = field(repr=False, default_factory=dict)
    packets: list[PacketRow] = field(repr=False, default_factory=list)
    segments: list[SegmentRow] = field(repr=False, default_factory=list)
    monitor: list[Row] = field(repr=False, default_factory=list)
    workers: list[WorkerRow] = field(repr=False, default_factory=list)
    faults: list[FaultRow] = field(repr=False, default_factory=list)
    neighbours: list[Row] = field(repr=False, default_factory=list)
    gpu: list[Row] = field(repr=False, default_factory=list)
    speed: list[Row] = field(repr=False, default_factory=list)
    probes: dict[str, ProbeFacts] = field(repr=False, default_factory=dict)  # what the monitor asked
    client: ClientFacts | None = None
    counts: SegmentCounts | None = None


@dataclass(frozen=True)
class Missing:
    """A run that was planned and cannot be used. `why`: what is wrong with it, where more is known than that it is not
    there."""

    planned: PlannedRun
    why: str | None = None


@dataclass(frozen=True)
class SweepFiles:
    """`missing` were planned and cannot be used. `notes` limit what the figures mean."""

    sweep: Sweep
    environment: Tree
    runs: list[RunFiles]
    missing: list[Missing]
    references: dict[str, Reference]
    notes: list[str] = field(default_factory=list)


def read_report(folder: Path) -> Report:
    """report.json of a sweep. Raises ArchiveError."""
    try:
        found = read_json(folder / "report.json")
        schema = found.get("schema") if isinstance(found, dict) else None
        if schema != SCHEMA:
            raise ArchiveError(
                f"report.json has schema {schema!r} where this version reads {SCHEMA}: "
                f"python -m capsexp.report {folder.name} rebuilds it"
            )
        return typed(found, Report)
    except (OSError, ValueError, RecursionError) as error:
        raise ArchiveError(f"report.json cannot be read: {error}") from None


def read_sweep(folder: Path) -> SweepFiles:
    """Everything a report is made of; raises ArchiveError when `folder` is not a sweep's."""
    sweep = read_plan(folder)
    runs, missing, notes = [], [], []
    for planned in sweep.planned:
        here = folder / planned.dir
        try:
            if here.is_symlink():
                raise ValueError("its folder is a link")
            runs.append(read_run(place(here)))
        except FileNotFoundError:
            missing.append(Missing(planned))
        except (ValueError, OSError) as error:
            missing.append(Missing(planned, f"damaged or edited: {error}"))
    references = {}
    # control: as versions before 0.2 called it
    for path in sorted([*folder.glob("control/*/control.json"), *folder.glob("reference/*/reference.json")]):
        try:
            references[path.parent.name] = read_reference(path)
        except (ValueError, OSError) as error:
            notes.append(f"reference {path.parent.name} is damaged or edited: {error}")
    environment = _environment(folder / "environment.json", notes)
    notes += _elsewhere(environment, [files.run for files in runs])
    notes += thresholds_said(sweep)
    return SweepFiles(sweep, environment, runs, missing, references, notes)


def read_run(folder: Path) -> RunFiles:
    """A run's files. Raises FileNotFoundError where it has no run.json, ValueError for what is damaged."""
    run = read_facts(folder)
    if run.status != Status.RUNNING:  # else they are being written
        _whole(folder, run)
    return RunFiles(
        run=run, requests=tables.read_requests(folder), transcripts=read_texts(folder),
        packets=tables.read_packets(folder), segments=tables.read_segments(folder),
        monitor=tables.read_rows(folder / "monitor.csv"), workers=tables.read_workers(folder),
        faults=tables.read_faults(folder), neighbours=tables.read_rows(folder / "neighbours.csv"),
        gpu=tables.read_rows(folder / "gpu.csv"), speed=tables.read_rows(folder / "speed.csv"),
        probes=_probes(folder / "probes.json"), client=read_client(folder),
        counts=_beside(folder / "segments.json", SegmentCounts),
    )  # fmt: skip


def read_facts(folder: Path) -> Run:
    """run.json. Raises FileNotFoundError where there is none, ValueError for what is damaged or of another version."""
    raw = known(folder / "run.json", READ)
    if isinstance(raw, dict):
        engine = engines.known(raw.get("engine"))  # earlier versions did not say what the engine can do
        raw = {"one_core": engine.one_core, "speaks": engine.speaks, **renewed(raw)}
        if isinstance(raw.get("config"), dict):
            raw["config"] = renewed(raw["config"])
    return named("run.json", raw, Run)


def read_client(folder: Path) -> ClientFacts | None:
    """client.json of a run; None where there is none. Raises OSError, ValueError."""
    return _beside(folder / CLIENT, ClientFacts)


def _probes(path: Path) -> dict[str, ProbeFacts]:
    """What it says beside what the tables hold: no run is lost with it."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    said = {}
    for name, one in found.items() if isinstance(found, dict) else ():
        with suppress(ValueError):
            said[name] = typed(one, ProbeFacts)
    return said


def _whole(folder: Path, run: Run) -> None:
    now, before = sizes(folder), run.tables
    if before is None:  # of an earlier version
        torn = [f"{name} ends in the middle of a row" for name in now if not ends(folder / name)]
    else:
        torn = [f"{name} has {now.get(name, 0)} of {n} bytes" for name, n in before.items() if now.get(name, 0) != n]
    if torn:
        others = f", and {counted(len(torn) - 1, 'more table')}" if len(torn) > 1 else ""
        raise ValueError(f"{torn[0]}{others}")


def _beside(path: Path, kind: type[T]) -> T | None:
    return named(path.name, read_json(path), kind) if path.is_file() else None


def read_reference(path: Path) -> Reference:
    """reference.json. Raises OSError, ValueError. Versions before 0.2 said xrt."""
    raw = known(path)
    if isinstance(raw, dict) and isinstance(raw.get("runs"), list):
        for run in raw["runs"]:
            if isinstance(run, dict) and "throughput_xrt" in run:
                run["throughput_rtfx"] = run.pop("throughput_xrt")
    return named("reference.json", raw, Reference)


def read_texts(folder: Path) -> dict[str, SampleTexts]:
    """transcripts/ of a run, by sample. Raises OSError, ValueError."""
    return {path.stem: _texts(path) for path in sorted((folder / "transcripts").glob("*.json"))}


def _texts(path: Path) -> SampleTexts:
    """Versions before 0.2 called what was said in a sample its reference."""
    raw = read_json(path)
    if isinstance(raw, dict) and "reference" in raw and "transcript" not in raw:
        raw["transcript"] = raw.pop("reference")
    return named(path.name, raw, SampleTexts)


def _environment(path: Path, notes: list[str]) -> Tree:
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


def _elsewhere(environment: Tree, runs: list[Run]) -> list[str]:
    """One line on the runs made on another machine or with other software than environment.json describes."""
    unlike: dict[str, set[str]] = {}  # by run: what differs
    for run in runs:
        own = run.environment or {}
        shared = [key for key in own if key != "models" and key in environment]
        if other := {key for key in shared if not _is_of(own[key], environment[key])}:
            unlike[f"{run.key}, run {run.num}"] = other
    if not unlike:
        return []
    first, what = next(iter(unlike)), ", ".join(sorted(set().union(*unlike.values())))
    which = first if len(unlike) == 1 else f"{len(unlike)} of {counted(len(runs), 'run')} (the first: {first})"
    return [f"made in another environment than environment.json describes ({what}): {which}; compare them with care"]


def _is_of(own: Any, all_of_them: Any) -> bool:
    """Runs need not be made with all that others of their sweep are made with."""
    if isinstance(own, dict) and isinstance(all_of_them, dict):
        return own.items() <= all_of_them.items()
    return bool(own == all_of_them)


def thresholds_said(sweep: Sweep) -> list[str]:
    """What was demanded of the runs when they were made, where it was changed afterwards."""
    before, now = sweep.thresholds_before, sweep.thresholds
    if before is None:
        return []
    changed = [
        f"{key} {before.get(key)} -> {now.get(key)}" for key in {**before, **now} if before.get(key) != now.get(key)
    ]
    return [f"thresholds were changed after the runs: {', '.join(changed)}"] if changed else []
