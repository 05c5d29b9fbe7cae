"""Going on with a sweep that was interrupted: what is finished and still means the same is kept, the rest is run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from capsexp.errors import ConfigError
from capsexp.experiment.fingerprint import fingerprint
from capsexp.experiment.run import Planned
from capsexp.experiment.sweep import Sweep, add, plan
from capsexp.files import read_json


def reopen(
    folder: Path, overrides: Sequence[str], config_dir: Path | None, config_name: str
) -> tuple[Sweep, list[str], list[str]]:
    """The sweep of a folder as it was asked for, with more overrides if any, its command line and its overrides.
    Raises ConfigError when the folder is not a sweep's."""
    try:
        recorded = read_json(folder / "sweep.json")
        said: list[str] = list(recorded["argv"])
        planned: list[dict[str, Any]] = recorded["planned"]
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"resume={folder}: not the folder of a sweep (no sweep.json that can be read)") from None
    given = {o.lstrip("+").partition("=")[0] for o in overrides}
    asked = [
        o
        for o in said
        if "=" in o and not o.startswith("-") and o.lstrip("+").partition("=")[0] not in {*given, "hydra.sweep.dir"}
    ]
    asked += overrides
    sweep = plan(asked, config_dir, config_name)
    known = {p.dir for p in sweep.planned}
    for more in planned:  # trials that were added on the way
        if more["dir"] not in known and any(p.key == more["key"] for p in sweep.planned):
            add(sweep, [(more["key"], more["trial"])], config_dir, config_name)
    return replace(sweep, folder=folder, folder_given=True), said, asked


def outstanding(sweep: Sweep) -> list[tuple[Planned, str]]:
    """Runs that have to be made, each with the reason; what was there of them is removed, also of the controls where
    the code has changed."""
    found = []
    for planned in sweep.planned:
        reason = _why(sweep.folder / planned.dir, planned)
        if reason:
            found.append((planned, reason))
    kept = {planned.dir for planned in sweep.planned} - {planned.dir for planned, _ in found}
    for planned, _ in found:
        shutil.rmtree(sweep.folder / planned.dir, ignore_errors=True)
    if not kept:
        shutil.rmtree(sweep.folder / "control", ignore_errors=True)
    for run in sweep.folder.glob("*/run.json"):  # of another plan: the report would not know it
        if run.parent.name not in kept:
            shutil.rmtree(run.parent, ignore_errors=True)
    return found


def _why(folder: Path, planned: Planned) -> str:
    try:
        run = read_json(folder / "run.json")
    except FileNotFoundError:
        return "was not finished" if folder.is_dir() else "was not begun"
    except (OSError, ValueError):
        return "left a run.json that cannot be read"
    if run.get("status") == "running":
        return "was not finished"
    if run.get("status") != "ok":
        return f"ended as {run.get('status')}"
    before, now = run.get("fingerprint") or {}, fingerprint(planned.config)
    changed = [part for part, value in now.items() if before.get(part) != value]
    return f"was made with another {' and '.join(changed)}" if changed else ""
