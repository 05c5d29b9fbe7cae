"""Going on with a sweep that was interrupted, or adding to one that has ended. Resuming only adds: a run that is
finished stays as it is, and is made again in its place only by an explicit word (redo=changed)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capsexp import compose, trust
from capsexp.config import resolve, to_dict
from capsexp.errors import ArchiveError, ConfigError
from capsexp.experiment.combinations import split
from capsexp.experiment.fingerprint import IGNORED_KEYS
from capsexp.experiment.sweep import Planned, PlannedSweep, add, plan
from capsexp.overrides import key_of
from capsexp.results.sweep import PlannedRun, Sweep, read_marked


def reopen(
    folder: Path, overrides: Sequence[str], config_dir: Path | None, config_name: str, trusted: bool = False
) -> tuple[PlannedSweep, list[str]]:
    """The sweep of a folder as it was asked for, with more overrides if any, and the command line that stands for all
    of it. Raises ConfigError when the folder is not a sweep's, ArchiveError when it is somebody else's and
    would do more than measure, which is not `trusted`."""
    try:
        recorded, mine = read_marked(folder)
    except ArchiveError as error:
        raise ConfigError(f"resume={folder}: {str(error).removeprefix(f'{folder}: ')}") from None
    given = {key_of(o) for o in overrides}
    said = [word for word in recorded.argv if "=" not in word or word.startswith("-") or key_of(word) not in given]
    asked = [o for o in said if "=" in o and not o.startswith("-") and key_of(o) not in ("hydra.sweep.dir", "redo")]
    asked += overrides
    planned = recorded.planned
    tree = trust.Tree(config_dir, config_name, foreign=config_dir == folder / "conf")
    if not mine and (found := trust.written(tree, [asked, *(run.words for run in planned)], overrides)):
        trust.ask(folder.name, found, trusted)
    sweep = plan(asked, config_dir, config_name, _told(recorded))
    if all(
        key_of(o).partition(".")[0] in IGNORED_KEYS - {"trials", "trials_max", "search", "trial"} for o in overrides
    ):
        known = {(before.key, before.trial) for before in planned}
        sweep.planned[:] = [run for run in sweep.planned if (run.key, run.trial) in known]
    _as_before(sweep, planned, overrides, config_dir, config_name)
    if not mine:
        found = trust.of_hydra(tree, asked, overrides)
        found += trust.of_runs(tree, (run.config for run in sweep.planned), overrides)
        trust.ask(folder.name, found, trusted)
    argv = [*(word for word in said if key_of(word) != "redo"), *(o for o in overrides if key_of(o) != "redo")]
    before = recorded.thresholds_before
    if before is None and recorded.thresholds != to_dict(sweep.config)["thresholds"]:
        before = recorded.thresholds
    kept = dict(recorded.repeats)
    sweep = replace(
        sweep,
        folder=folder,
        folder_given=True,
        repeats=kept,
        schedules={k: dict(v) for k, v in recorded.schedules.items()},
        thresholds_before=before,
        mine=mine or trusted,
    )
    return sweep, _together(argv, sweep)


def _told(recorded: Sweep) -> Sequence[str]:
    """The keys that tell its runs apart, which earlier versions did not write down."""
    if recorded.told is not None:
        return recorded.told
    swept, _ = split([o for o in recorded.argv if "=" in o and not o.startswith("-")])
    return [key_of(o) for o in swept]


def _as_before(
    sweep: PlannedSweep,
    recorded: Sequence[PlannedRun],
    overrides: Sequence[str],
    config_dir: Path | None,
    config_name: str,
) -> None:
    """Give the runs of `sweep` the numbers and directories that they have; others are numbered on, whatever the place
    that more overrides give them. What was planned before and is not asked for now stays in the sweep."""
    left: dict[tuple[str, int], list[PlannedRun]] = {}
    for before in recorded:
        left.setdefault((before.key, before.trial), []).append(before)
    following = itertools.count(1 + max((before.num for before in recorded), default=-1))
    for place, run in enumerate(sweep.planned):
        if same := left.get((run.key, run.trial)):
            sweep.planned[place] = _at(run, same.pop(0))
        else:
            num = next(following)
            sweep.planned[place] = replace(run, num=num, dir=f"{num}-{run.dir.partition('-')[2]}")
    keys = {run.key for run in sweep.planned}
    for more in (more for runs in left.values() for more in runs):
        if more.key in keys:
            [run] = add(sweep, [(more.key, more.trial)], config_dir, config_name)
            sweep.planned[-1] = _at(run, more)
        else:
            sweep.planned.append(_of_before(more, overrides, sweep.told, config_dir, config_name))
    sweep.planned.sort(key=lambda run: run.num)


def _of_before(
    recorded: PlannedRun, overrides: Sequence[str], told: Sequence[str], config_dir: Path | None, config_name: str
) -> Planned:
    """A run that was planned by other values of what tells runs apart."""
    _, fixed = split(overrides)
    now = [o for o in fixed if key_of(o) not in told and key_of(o) not in ("trial", "redo")]
    words = [*(o for o in recorded.words if key_of(o) not in {key_of(n) for n in now}), *now]
    config = resolve(compose.raw(words, config_dir, config_name))
    return Planned(recorded.num, recorded.dir, recorded.key, recorded.trial, tuple(words), config)


def _together(argv: list[str], sweep: PlannedSweep) -> list[str]:
    """The command line that asks for all of it: of what tells runs apart every value that a run has."""
    values: dict[str, list[str]] = {}
    for run in sweep.planned:
        for override in run.overrides:
            key, _, value = override.lstrip("+").partition("=")
            found_out = sweep.search is not None and key == sweep.search["over"]
            if key in sweep.told and key != "trial" and not found_out and value not in values.setdefault(key, []):
                values[key].append(value)
    kept: list[str] = []
    done: set[str] = set()
    for word in argv:
        key = key_of(word)
        if key in done and not word.startswith("-"):
            continue
        plus = word[: len(word) - len(word.lstrip("+"))]
        if key in values and not word.startswith("-"):
            done.add(key)
            word = f"{plus}{key}={','.join(values.pop(key))}"
        kept.append(word)
    more = [f"{key}={','.join(several)}" for key, several in values.items()]
    at = next((place for place, word in enumerate(kept) if word.startswith("-")), len(kept))
    return [*kept[:at], *more, *kept[at:]]


def _at(run: Planned, recorded: PlannedRun) -> Planned:
    return replace(run, num=recorded.num, dir=recorded.dir)
