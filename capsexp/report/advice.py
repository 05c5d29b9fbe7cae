"""What a report advises: what to run, how to start it, and the line that decides what is open."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from capsexp import escape
from capsexp.analysis import baseline, blocks, next_step, race, recommend, settle, trials
from capsexp.analysis.aggregate import Observed
from capsexp.config import trial_count
from capsexp.files import from_here
from capsexp.report import start_command
from capsexp.report.degrade import Survivor
from capsexp.report.exporters import html, markdown, text
from capsexp.results.read import SweepFiles
from capsexp.results.report import (
    Advice,
    Capacity,
    Configuration,
    Decide,
    Open,
    Recommendation,
    Report,
    Scaling,
    TrialsAsked,
)


def advise(
    files: SweepFiles,
    configurations: Sequence[Configuration],
    scalings: Sequence[Scaling],
    cpus: float | None,
    tolerance: float,
) -> list[Advice]:
    """What to run, each with how to start it."""
    configs = {r.run.key: baseline.settings(r.run) for r in files.runs}
    found = []
    for advice in recommend.advise(configurations, configs, tolerance, scalings, cpus):
        chosen = advice.recommendation
        if chosen is not None:
            server = start_command.start(configs[chosen.key], chosen.workers)
            chosen = msgspec.structs.replace(chosen, server=server, command=server.command)
        found.append(msgspec.structs.replace(advice, recommendation=chosen))
    return found


def only_one(advice: Sequence[Advice]) -> Recommendation | None:
    """The recommendation, where every group has the same."""
    chosen = [one.recommendation for one in advice if one.recommendation]
    if not chosen or len(chosen) < len(advice) or len({one.command for one in chosen}) != 1:
        return None
    return next((one for one in chosen if not one.decided), chosen[0])


def still_open(
    advice: Sequence[Advice], configurations: Sequence[Configuration], open_: Sequence[Open]
) -> list[Advice]:
    """With what another trial may still change about each recommendation, which is only likely then."""
    rows, found = {c.key: c for c in configurations}, []
    for one in advice:
        chosen = one.recommendation
        whys = [f"{o.key}: {o.why}" for o in open_ if o.recommended and chosen and chosen.key in (o.key, *o.beside)]
        if chosen is not None and whys:
            chosen = msgspec.structs.replace(
                chosen,
                decided=False,
                open=(*chosen.open, *whys),
                next_sentence=next_step.sentence(rows[chosen.key], chosen.next, decided=False),
            )
        found.append(msgspec.structs.replace(one, recommendation=chosen))
    return found


def raced(
    files: SweepFiles, observed: Sequence[Observed], configurations: Sequence[Configuration], tolerance: float
) -> list[Configuration]:
    """With who is out of the race."""
    configs, limit = {r.run.key: baseline.settings(r.run) for r in files.runs}, files.sweep.thresholds.get("speedup")
    speeds = blocks.speeds_of(observed)
    return race.raced(configurations, configs, speeds, tolerance, limit, files.sweep.trials_max)


def looked(
    asked: TrialsAsked,
    files: SweepFiles,
    observed: Sequence[Observed],
    configurations: Sequence[Configuration],
    settings: Mapping[str, Any],
    stopped: str | None,
) -> TrialsAsked:
    """What search=race and then trials=auto ask further, and why it has stopped if it has. `settings`: of the
    report."""
    configs, tolerance = {r.run.key: baseline.settings(r.run) for r in files.runs}, settings["tolerance"]
    choices, gains = recommend.choices(configurations, configs, tolerance), None
    if files.sweep.racing:
        speeds, wanted = blocks.speeds_of(observed), trial_count(asked.asked)
        rounds = race.questions(configurations, configs, speeds, choices, tolerance, wanted)
        if asked.asked != "auto" or trials.further(configurations, rounds, asked.max):
            return msgspec.structs.replace(asked, open=rounds)
        gains = race.gains(configurations, configs, speeds)
    open_ = trials.questions(configurations, choices, tolerance, settings["ci_width"], gains)
    left = trials.unpursued(configurations, choices, gains)
    spent_s = settings["budget_s"] if stopped == trials.BUDGET else None
    said = trials.outcome(configurations, open_, asked.max, spent_s, left)
    return msgspec.structs.replace(asked, stopped=said, open=open_, unpursued=tuple(left))


def decide(
    files: SweepFiles,
    configurations: Sequence[Configuration],
    unfinished: bool,
    asked: TrialsAsked,
    capacity: Sequence[Capacity] = (),
) -> Decide | None:
    """The line that makes the runs which would decide what is open."""
    planned = len({p.trial for p in files.sweep.planned})
    if capacity and not unfinished:
        more: list[str] | None = []
        found = (more, "goes on with the search") if any(one.next is not None for one in capacity) else None
    else:
        found = settle.settle(configurations, planned, unfinished, asked)
    # Nothing is open of the one to run, and a race asks for no more.
    over = files.sweep.racing and asked.asked == "auto" and not unfinished and not asked.open
    if found is None or over:
        return None
    more, note = found
    where = files.sweep.folder
    if more is None:
        return Decide(note=note)
    if where is None:
        where, note = "FOLDER", note + _PLACE
    return Decide(command=resuming(where, more), note=note, overrides=tuple(more))


_PLACE = "; FOLDER is the folder of this report"


def resuming(where: str, overrides: Sequence[str]) -> str:
    """The line that goes on with the sweep of a folder."""
    return shlex.join(["python", "-m", "capsexp", f"resume={where}", *overrides])


def as_seen_from_here(folder: Path, report: Report) -> str:
    """report.txt for a screen: as wide as it is, its commands name the folder as it is reached from here, and its last
    line says where the rest is. The file itself holds no path of this machine."""
    said, decide = (folder / text.FILE).read_text("utf-8"), report.decide
    wide = sys.stdout is not None and sys.stdout.isatty()
    if decide is not None and decide.overrides is not None:
        here = resuming(from_here(folder), decide.overrides)
        decide = msgspec.structs.replace(decide, command=here, note=decide.note.removesuffix(_PLACE))
    if wide or decide != report.decide:
        seen = msgspec.structs.replace(report, decide=decide)
        width = (shutil.get_terminal_size().columns,) if wide else ()
        said = Survivor()(text.FILE, said, text.render, seen, *width)
    said = said.removesuffix("\n")
    if there := [name for name in (html.FILE, markdown.FILE) if (folder / name).is_file()]:
        said += f"\n\nMore: {escape.one_line(from_here(folder))}/{' and '.join(there)}"
    return said
