"""Going on with a sweep that was interrupted: what is finished and still means the same is kept, the rest is run."""

from __future__ import annotations

import itertools
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
    _as_before(sweep, planned, config_dir, config_name)
    kept = {str(key): dict(one) for key, one in recorded.get("repeats", {}).items()}
    return replace(sweep, folder=folder, folder_given=True, repeats=kept), said, asked


def _as_before(sweep: Sweep, recorded: Sequence[dict[str, Any]], config_dir: Path | None, config_name: str) -> None:
    """Give the runs of `sweep` the numbers and directories that they have; others are numbered on, whatever the place
    that more overrides give them. Trials that were added on the way are planned again."""
    left: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for before in recorded:
        left.setdefault((before["key"], before["trial"]), []).append(before)
    following = itertools.count(1 + max((before["num"] for before in recorded), default=-1))
    for place, run in enumerate(sweep.planned):
        if same := left.get((run.key, run.trial)):
            sweep.planned[place] = _at(run, same.pop(0))
        else:
            num = next(following)
            sweep.planned[place] = replace(run, num=num, dir=f"{num}-{run.dir.partition('-')[2]}")
    keys = {run.key for run in sweep.planned}
    for more in (more for runs in left.values() for more in runs if more["key"] in keys):
        [(run, _)] = add(sweep, [(more["key"], more["trial"])], config_dir, config_name)
        sweep.planned[-1] = _at(run, more)


def _at(run: Planned, recorded: dict[str, Any]) -> Planned:
    return replace(run, num=recorded["num"], dir=recorded["dir"])


def outstanding(sweep: Sweep) -> list[tuple[Planned, str]]:
    """Runs that have to be made, each with the reason; what was there of them is removed, also of the controls where
    code or samples have changed."""
    found = []
    for planned in sweep.planned:
        reason = _why(sweep.folder / planned.dir, planned)
        if reason:
            found.append((planned, reason))
    kept = {planned.dir for planned in sweep.planned} - {planned.dir for planned, _ in found}
    for planned, reason in found:
        if "samples" in reason:  # the control heard what they were before
            control = read_json(sweep.folder / planned.dir / "run.json").get("control") or "none"
            shutil.rmtree(sweep.folder / "control" / control, ignore_errors=True)
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
