"""A sweep as the command line asks for it: a new one, what a new one would do, or one that is resumed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from capsexp import interrupts
from capsexp.argv import SEVERAL, split_argv
from capsexp.errors import ArchiveError, ConfigError
from capsexp.experiment import foresee, preflight
from capsexp.experiment.sweep import PlannedSweep, each_differs, plan
from capsexp.experiment.sweep_runner import SweepRunner
from capsexp.files import note, tell_line
from capsexp.lock import locked
from capsexp.overrides import pasted, several, unquoted
from capsexp.results.sweep import read_plan
from capsexp.resume import reopen
from capsexp.trust import TRUST

DRY_RUN = "--dry-run"
KNOWN = (*SEVERAL, "-r", "--run", TRUST, DRY_RUN)  # flags of a sweep


def sweep_command(
    argv: list[str], overrides: list[str], flags: Sequence[str], config_dir: Path | None, config_name: str,
    asked: list[int],
) -> int:  # fmt: skip
    """What `argv` asks for, its words by kind; `asked`: signals that came. The exit code; raises CapsexpError."""
    unknown = [flag for flag in flags if flag not in KNOWN]
    if unknown:
        raise ConfigError(f"{unknown[0]}: unknown flag; settings are key=value, see --help")
    resumed = [o for o in overrides if o.startswith("resume=") and o not in ("resume=", "resume=null")]
    if resumed and DRY_RUN in flags:
        raise ConfigError(f"{DRY_RUN}: is for new sweeps; leave it out: resume= lists its runs before it starts them")
    if resumed:
        rest = [o for o in overrides if o not in resumed]
        place = Path(unquoted(resumed[-1].partition("=")[2])).expanduser().absolute()
        if config_dir is None:
            config_dir, config_name = _own_tree(place, config_name)
        with locked(place) if (place / "sweep.json").is_file() else nullcontext():
            sweep, argv = reopen(place, rest, config_dir, config_name, TRUST in flags)
            each_differs(sweep.planned)
            return SweepRunner(sweep, argv, True, config_dir, config_name).run(asked)
    if TRUST in flags:
        raise ConfigError(f"{TRUST}: has an effect only when a sweep is resumed; add resume=FOLDER")
    if any(o.startswith("redo=") for o in overrides):
        raise ConfigError("redo: has an effect only when a sweep is resumed; add resume=FOLDER")
    sweep = plan(overrides, config_dir, config_name)
    each_differs(sweep.planned)
    interrupts.check()
    if DRY_RUN in flags:
        return _dry_run(sweep)
    try:
        runner = SweepRunner(sweep, argv, False, config_dir, config_name)
    except ConfigError as error:
        if texts := several(overrides):
            hint = f"a comma separates values: to keep it in a value, write {pasted(texts[0])}"
            raise ConfigError(f"{error}; {hint}") from None
        raise
    return runner.run(asked)


def _dry_run(sweep: PlannedSweep) -> int:
    """Say what would be done, after looking that it could be; nothing is made of it."""
    _, doubts = preflight.check(sweep)
    for doubt in doubts:
        note(f"warning: {doubt}")
    for line in foresee.lines(sweep, [planned.config for planned in sweep.planned]):
        tell_line(line)
    return 0


def _own_tree(folder: Path, config_name: str) -> tuple[Path | None, str]:
    """The tree that a sweep to be resumed keeps, and its name in it, where its user had given one of their own."""
    try:
        _, _, valued = split_argv(read_plan(folder).argv)
    except ArchiveError:
        return None, config_name  # reopening says what is wrong
    if not valued.keys() & {"--config-dir", "-cd"}:
        return None, config_name
    return folder / "conf", valued.get("--config-name", valued.get("-cn", "config"))
