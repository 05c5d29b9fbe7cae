"""sweep.json: what a command asked for, so that the report can say what is missing, a replay can ask again and a sweep
can go on. Written and read here alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from capsexp.errors import ArchiveError
from capsexp.files import write_json
from capsexp.results import signature
from capsexp.results.forms import known, typed
from capsexp.results.run import Tree

FILE = "sweep.json"
RUN_DIR = re.compile(r"\d+-[A-Za-z0-9=.,_+-]+")


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be made: its number, its directory's name, its key without trial, and its overrides, as one
    reads them (`overrides`) and as they were given to Hydra (`given`)."""

    num: int
    dir: str
    key: str
    trial: int
    overrides: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The overrides to compose it from; earlier versions had one form of them."""
        return self.given or self.overrides


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """What load.repeats=auto came to; `concurrency` 0: all at once."""

    repeats: int
    concurrency: int


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: as it was typed where the sweep was started; `told`: the keys that tell its runs apart; `repeats`: by
    the kind of load; `expected_load_s`: seconds that loads were expected to take, by key; `stopped`: the setting that
    ended trials=auto or a search, where that was the time; `further_since`: the Unix time from which its budget counts,
    once what was planned at first is over; `search`: for a capacity, its settings and what is searched;
    `thresholds_before`: those that its runs were made with, where they were changed afterwards; `schedules`: by setting
    (`load.csv`), where its folder keeps a table that a load reads, by the name that it had. Settings are those of the
    version that wrote them."""

    schema: int = 1
    name: str
    folder: str | None = None
    argv: tuple[str, ...]
    planned: tuple[PlannedRun, ...]
    told: tuple[str, ...] | None = None
    interrupted: bool
    repeats: dict[str, Repeats] = {}
    expected_load_s: dict[str, float] = {}
    trials: int | str = 1
    trials_max: int = 1
    racing: bool = False  # search=race
    stopped: str | None = None
    further_since: float | None = None
    search: Tree | None = None
    schedules: dict[str, dict[str, str]] = {}
    thresholds: Tree
    thresholds_before: Tree | None = None
    slo: Tree | None = None
    validity: Tree | None = None
    report: Tree
    archive: Tree | None = None


def read_plan(folder: Path) -> Sweep:
    """What was asked for. Raises ArchiveError, in one line, where that cannot be read, or names a folder that is none
    of a run."""
    return _checked(folder, _raw(folder))


def read_marked(folder: Path) -> tuple[Sweep, bool]:
    """As `read_plan`, with whether this user made it here, or trusted it (see `signature`)."""
    raw = _raw(folder)
    return _checked(folder, raw), signature.ours(folder, raw)


def write_plan(folder: Path, sweep: Sweep, mine: bool) -> None:
    """With the mark of this user, where it is `mine`. Raises StorageError."""
    said = msgspec.to_builtins(sweep)
    write_json(folder / FILE, signature.signed(folder, said) if mine else said)


def _raw(folder: Path) -> Mapping[str, Any]:
    try:
        raw = known(folder / FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise ArchiveError(f"{folder}: not the folder of a sweep (no {FILE})") from None
    except (ValueError, OSError) as error:
        raise ArchiveError(f"{folder}: {FILE} cannot be read: {error}") from None
    if not isinstance(raw, dict):
        raise ArchiveError(f"{folder}: {FILE} is damaged or edited: is not a JSON object")
    return raw


def _checked(folder: Path, raw: Mapping[str, Any]) -> Sweep:
    try:
        sweep = typed(raw, Sweep)
    except ValueError as error:
        raise ArchiveError(f"{folder}: {FILE} is damaged or edited: {error}") from None
    for one in sweep.planned:
        if not RUN_DIR.fullmatch(one.dir):
            raise ArchiveError(f"{folder}: {FILE} names a run outside: {one.dir!r}")
    for name in ("dir", "num"):
        if len({getattr(one, name) for one in sweep.planned}) != len(sweep.planned):
            raise ArchiveError(f"{folder}: {FILE} is damaged or edited: two runs have one {name}")
    return sweep
