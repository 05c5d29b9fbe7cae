"""python -m capsexp.compare A B [...]: two machines, two versions, before and after: ratios with intervals, and what
differs in environment and configuration. Each is a sweep's folder or its zip; all are compared with the first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tabulate import tabulate

from capsexp import archive, escape
from capsexp.analysis import differences
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.figures import Figures
from capsexp.errors import ConfigError
from capsexp.files import tell
from capsexp.report.build import observe
from capsexp.report.tables import interval, number
from capsexp.results.read import SweepFiles, read_sweep

HEADERS = ("configuration", "figure", "before", "after", "ratio", "95 % interval", "")
_WORDS = {True: "different", False: "no difference seen", None: "too few trials to say"}


def main(argv: Sequence[str]) -> int:
    if len(argv) < 2 or any(word.startswith("-") for word in argv):
        raise ConfigError("usage: python -m capsexp.compare A B [...], sweeps' folders or zips")
    with ExitStack() as stack:
        folders = [_folder(Path(word), stack) for word in argv]
        stack.enter_context(archive.as_written(*folders))
        sweeps = [read_sweep(folder) for folder in folders]
        for name, other in zip(argv[1:], sweeps[1:], strict=True):
            tell(side_by_side(Path(argv[0]).name, sweeps[0], Path(name).name, other))
    return 0


def _folder(path: Path, stack: ExitStack) -> Path:
    return path if path.is_dir() else stack.enter_context(archive.unpacked(path))


def side_by_side(old_name: str, old: SweepFiles, new_name: str, new: SweepFiles) -> str:
    """The comparison as text."""
    before, after = observe(old), observe(new)
    found = differences.ratios(_counted(before), _counted(after))
    rows = [
        [
            f.key, f.figure, number(f.before), number(f.after), number(f.ratio, 3), interval(f.ci95, 3),
            _WORDS[f.different],
        ]
        for f in found
    ]  # fmt: skip
    rows = [[escape.one_line(cell) for cell in row] for row in rows]
    names = f"{escape.one_line(new_name)} against {escape.one_line(old_name)}"
    parts = [names, "", tabulate(rows, HEADERS, disable_numparse=True)]
    alone = sorted({o.run.key for o in before} ^ {o.run.key for o in after})
    parts += [f"In one of them only: {escape.one_line(', '.join(alone))}"] if alone else []
    mine, theirs = ({k: v for k, v in files.environment.items() if k != "models"} for files in (old, new))
    parts += _listed("Environment:", differences.changes(mine, theirs))
    unlike_files = differences.models(old.environment.get("models"), new.environment.get("models"))
    parts += ["Models:", *(escape.one_line(f"  {line}") for line in unlike_files)] if unlike_files else []
    parts += _listed("Configuration:", _configurations(before, after))
    if unlike := _unlike(before, after):
        parts += [f"Unlike, so that the ratios are not of the same work: {', '.join(unlike)}."]
    return "\n".join([*parts, ""])


def _counted(observed: Sequence[Observed]) -> dict[str, list[Figures]]:
    """Of each key the figures of its valid runs; of all, where none is."""
    found: dict[str, list[Figures]] = {}
    for key in dict.fromkeys(o.run.key for o in observed):
        own = [o for o in observed if o.run.key == key and o.figures]
        found[key] = [o.figures for o in [o for o in own if not o.disturbed] or own if o.figures]
    return found


def _configurations(old: Sequence[Observed], new: Sequence[Observed]) -> list[tuple[str, Any, Any]]:
    """Of the keys that both have, each difference once."""
    before, after = ({o.run.key: o.run.config for o in observed} for observed in (old, new))
    found = [change for key in before if key in after for change in differences.changes(before[key], after[key])]
    return list({repr(change): change for change in found}.values())


# What makes the work another: the figures of one say nothing about the other's.
_WORK = ("engine", "samples", "load", "punctuation", "hours", "fault")


def _unlike(old: Sequence[Observed], new: Sequence[Observed]) -> list[str]:
    """What was not the same work, in words."""
    if not set(_counted(old)) & set(_counted(new)):
        return ["no configuration is in both; a sweep of the same key is needed"]
    changed = {key.partition(".")[0] for key, _, _ in _configurations(old, new)}
    found = [f"other settings of {name}" for name in _WORK if name in changed]
    if _samples(old) != _samples(new):
        found.append("the samples")
    units = [{o.figures.memory.metric for o in observed if o.figures} for observed in (old, new)]
    if units[0] != units[1]:
        found.append(f"memory as {_units(units[0])} and {_units(units[1])}")
    return found


def _units(names: set[str | None]) -> str:
    return "/".join(sorted(name.upper() for name in names if name)) or "nothing"


def _samples(observed: Sequence[Observed]) -> set[str]:
    return {sample.sha256 for o in observed for sample in o.run.samples}


def _listed(title: str, found: list[tuple[str, Any, Any]]) -> list[str]:
    if not found:
        return []
    return [title, *(escape.one_line(f"  {key}: {_said(before)} -> {_said(after)}") for key, before, after in found)]


def _said(value: Any) -> str:
    """What is a list in a file is one here, and nothing is a word."""
    return "nothing" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.compare", __doc__))
