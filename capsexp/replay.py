"""python -m capsexp.replay X [overrides] [--trust]: run an archived experiment again here and show both results side by
side. --trust also does what an archive asks for beyond measuring (see trust)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from capsexp import archive, cli, escape, trust
from capsexp.analysis import metrics
from capsexp.analysis.metrics.metric import Metric, Place
from capsexp.argv import SEVERAL, split_argv
from capsexp.errors import ArchiveError, ConfigError
from capsexp.experiment import own_schedules
from capsexp.files import note, tell
from capsexp.overrides import assign, key_of, unquoted
from capsexp.report import tables
from capsexp.results.read import read_facts, read_report
from capsexp.results.report import Configuration, Report
from capsexp.results.sweep import Sweep, read_plan


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0].startswith("-"):
        raise ConfigError("usage: python -m capsexp.replay X [key=value ...], a sweep's folder or its zip")
    source = Path(argv[0])
    with archive.verified(source) as folder:
        overrides = [word for word in argv[1:] if word != trust.TRUST]
        plan = _plan(folder)
        words = line(plan, folder, overrides)
        composed, _, valued = split_argv(words)
        tree = trust.Tree(folder / "conf", valued["--config-name"])
        tables = own_schedules.own(folder, plan.schedules, split_argv(plan.argv)[0])
        own = [*_own_audio(folder), *tables.values()]
        found = trust.surprises(tree, composed, [*overrides, *own])
        trust.ask(source.name, found, trust.TRUST in argv)
        before, out = _before(folder), _out(overrides)
        code = cli.main([*words, assign("hydra.sweep.dir", out)])
        if before and (out / "report.json").is_file():
            tell(side_by_side(before, read_report(out)))
        return code


def _before(folder: Path) -> Report | None:
    """What it came to then; None, and a line, where that cannot be read (of an earlier version, or damaged)."""
    try:
        return read_report(folder)
    except ArchiveError as error:
        note(f"the archived report cannot be read, so nothing is compared: {error}")
        return None


def line(sweep: Sweep, folder: Path, overrides: Sequence[str]) -> list[str]:
    """The archived command with its own conf/, audio and tables of load=schedule; what is given now replaces
    what was given then."""
    old, flags, valued = split_argv(sweep.argv)
    flags = [flag for flag in flags if flag in SEVERAL]  # Hydra has some that read pickles
    given = {key_of(o) for o in overrides} | {"hydra.sweep.dir"}
    overrides = [o for o in overrides if not o.startswith("hydra.sweep.dir=")]
    kept = [o for o in old if key_of(o) not in given]
    name = valued.get("--config-name", valued.get("-cn", "config"))
    if "samples.dir" not in given and (own := _own_audio(folder)):
        kept = [o for o in kept if key_of(o) != "samples.dir"] + own
    own_tables = own_schedules.own(folder, sweep.schedules, old)
    for key in own_tables.keys() - given:
        kept = [o for o in kept if key_of(o) != key] + [own_tables[key]]
    for word in _as_much(sweep, folder):
        said = [o for o in [*kept, *overrides] if key_of(o) == key_of(word)]
        if all(o.endswith("=auto") for o in said) and key_of(word) not in given:
            kept = [o for o in kept if o not in said] + [word]
    return [*kept, *overrides, *flags, "--config-dir", str(folder / "conf"), "--config-name", name]


def _as_much(sweep: Sweep, folder: Path) -> list[str]:
    """What load.repeats=auto came to: the same requests are sent again. Where runs differ in it, it is decided anew."""
    try:
        runs = [read_facts(path.parent) for path in sorted(folder.glob("*/run.json"))] if sweep.repeats else []
        sent = {"repeats": {run.repeats for run in runs}, "concurrency": {run.concurrency for run in runs}}
    except (OSError, ValueError):  # of another version, or damaged
        return []
    return [f"load.{key}={n}" for key, found in sent.items() if len(found) == 1 for n in found if n is not None]


def _own_audio(folder: Path) -> list[str]:
    """Where the audio of an archive that brings its own is."""
    own = folder / "samples" / "dir"
    return [assign("samples.dir", own)] if own.is_dir() else []


def _plan(folder: Path) -> Sweep:
    """Raises ArchiveError, without the folder: it may be one that the archive was unpacked into."""
    try:
        return read_plan(folder)
    except ArchiveError as error:
        raise ArchiveError(f"the archive: {str(error).removeprefix(f'{folder}: ')}") from None


def _out(overrides: Sequence[str]) -> Path:
    """Where the new sweep goes: as asked, or a folder of its own beside the others."""
    from datetime import datetime

    asked = next((unquoted(o.partition("=")[2]) for o in overrides if o.startswith("hydra.sweep.dir=")), None)
    if asked:
        return Path(asked).expanduser().absolute()
    now = datetime.now().astimezone()
    return Path("outputs").absolute() / now.strftime("%Y-%m-%d") / f"{now:%H-%M-%S}-replay"


def side_by_side(before: Report, after: Report) -> str:
    """Both results, a row per configuration of either."""
    old, new = ({c.key: c for c in report.configurations} for report in (before, after))
    rows, shown = [], metrics.at(Place.REPLAY)
    for key in dict.fromkeys([*old, *new]):
        cells = [key]
        for metric in (*shown, None):
            cells += [_cell(c.get(key), metric) for c in (old, new)]
        rows.append([escape.one_line(cell) for cell in cells])
    names = (*(metric.header for metric in shown), "verdict")
    headers = ["configuration", *(f"{name} {when}" for name in names for when in ("then", "now"))]
    return "\nThen and now:\n" + tabulate(rows, headers, disable_numparse=True)


def _cell(configuration: Configuration | None, metric: Metric | None) -> str:
    if configuration is None:
        return "-"
    return configuration.verdict if metric is None else tables.shown(metric.tag, configuration.value(metric.tag))


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.replay", __doc__))
