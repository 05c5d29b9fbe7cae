"""python -m capsexp.report X [thresholds.x=...]: build the report of a sweep's folder again, from its run directories
alone; with thresholds.*, validity.* or report.*, judge by these, which the report says. Of a zip the report is shown,
and the zip stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import OmegaConf

from capsexp import archive
from capsexp.errors import ConfigError
from capsexp.files import tell
from capsexp.keys import JUDGING
from capsexp.lock import locked
from capsexp.overrides import key_of
from capsexp.report.advice import as_seen_from_here
from capsexp.report.build import rebuild
from capsexp.results.report import Report
from capsexp.results.sweep import Sweep, read_marked, write_plan
from capsexp.tool import entry


def main(argv: Sequence[str]) -> int:
    if not argv or any(word.startswith("-") for word in argv) or not all("=" in word for word in argv[1:]):
        raise ConfigError("usage: python -m capsexp.report X [thresholds.x=...], a sweep's folder or its zip")
    source = Path(argv[0])
    if not source.is_file():
        return _again(source, argv[1:])
    with archive.verified(source) as folder:
        return _again(folder, argv[1:], archived=False)


def _again(folder: Path, overrides: Sequence[str], archived: bool = True) -> int:
    """`archived`: an archive beside the folder is made again, too."""
    if overrides:
        sweep, mine = read_marked(folder)
        judged = _judged(sweep, overrides)  # checked before anything is touched
        with locked(folder):
            write_plan(folder, judged, mine)
            report = _rebuild(folder)
            if archived and (folder / archive.MANIFEST).is_file():
                archive.again(folder)
    else:
        report = _rebuild(folder)
    tell(as_seen_from_here(folder, report) if archived else (folder / "report.txt").read_text("utf-8").rstrip("\n"))
    return 0


def _rebuild(folder: Path) -> Report:
    with archive.as_written(folder):
        return rebuild(folder)


def _judged(sweep: Sweep, overrides: Sequence[str]) -> Sweep:
    """What was asked for with other limits, and what they were before. Raises ConfigError."""
    from capsexp.compose import compose

    for override in overrides:
        if override.partition(".")[0] not in JUDGING:
            raise ConfigError(f"{override}: only {', '.join(f'{key}.*' for key in JUDGING)} can be given to a report")
    before = sweep.thresholds_before or sweep.thresholds
    config = OmegaConf.structured(compose(overrides))
    now = OmegaConf.create({key: getattr(sweep, key) or {} for key in JUDGING})
    for key in (override.partition("=")[0] for override in overrides):
        OmegaConf.update(now, key, OmegaConf.select(config, key))
    judged: Any = OmegaConf.to_container(now)
    given = {key_of(override) for override in overrides}
    return msgspec.structs.replace(
        sweep,
        argv=(*(word for word in sweep.argv if key_of(word) not in given), *overrides),  # also when resumed
        thresholds_before=before if before != judged["thresholds"] else None,
        **judged,
    )


if __name__ == "__main__":
    sys.exit(entry(main, "capsexp.report", __doc__))
