"""Which runs of a sweep have still to be made: of one that goes on, those that are not there or were made otherwise."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from capsexp.errors import ConfigError
from capsexp.experiment.attempts import adopt
from capsexp.experiment.fingerprint import fingerprint
from capsexp.experiment.sweep import Planned, PlannedSweep
from capsexp.files import read_json
from capsexp.renamed import renewed
from capsexp.results.read import REFERENCE
from capsexp.results.verdicts import Status


def outstanding(sweep: PlannedSweep, redo: str | None) -> list[tuple[Planned, str]]:
    """Runs that have to be made, each with the reason; what was there of them is removed, also of the reference where
    it heard something else. Raises ConfigError where that would be a finished run and `redo` does not say so."""
    for planned in sweep.planned:
        adopt(sweep.folder / planned.dir)
    found = [(planned, reason) for planned in sweep.planned if (reason := _why(sweep.folder / planned.dir, planned))]
    finished = [(planned, reason) for planned, reason in found if reason.startswith(_OTHER)]
    if finished and redo != "changed":
        planned, reason = finished[0]
        more = f" and {len(finished) - 1} more" if len(finished) > 1 else ""
        raise ConfigError(
            f"resume={sweep.folder.name}: {planned.key}{more} {reason}, and resuming only adds; start a new sweep, or "
            "add redo=changed to repeat these runs in their place"
        )
    for planned, reason in found:
        if reason.startswith(_OTHER) and reason != f"{_OTHER}{_SAID['configuration']}":
            _forget_reference(sweep.folder, sweep.folder / planned.dir)
        shutil.rmtree(sweep.folder / planned.dir, ignore_errors=True)
    return found


_OTHER = "was made with other "


def _forget_reference(folder: Path, run_dir: Path) -> None:
    name = renewed(read_json(run_dir / "run.json")).get("reference")
    if isinstance(name, str) and REFERENCE.fullmatch(name):
        shutil.rmtree(folder / "reference" / name, ignore_errors=True)


def _why(folder: Path, planned: Planned) -> str:
    try:
        run = read_json(folder / "run.json")
    except FileNotFoundError:
        return "was not finished" if folder.is_dir() else "was not begun"
    except (OSError, ValueError):
        return "left a run.json that cannot be read"
    if not isinstance(run, dict):
        return "left a run.json that cannot be read"
    if run.get("status") == Status.RUNNING:
        return "was not finished"
    if run.get("status") != Status.OK:
        return re.sub(r"[^\w ]", "?", f"ended as {run.get('status')}")
    before, now = run.get("fingerprint"), fingerprint(planned.config)
    if not isinstance(before, dict):
        before = {}
    changed = [part for part, value in now.items() if part in before and before[part] != value]
    changed += [part for part in ("configuration", "samples", "code") if part not in before]
    return f"{_OTHER}{' and '.join(_SAID.get(part, part) for part in changed)}" if changed else ""


# Of a fingerprint, for a user.
_SAID = {"configuration": "settings", "code": "code of capsexp"}
