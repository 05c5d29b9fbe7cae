"""The command line: from its arguments to an exit code. Every error a user can act on is one line."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from capsexp import __version__, compose, debug, escape, interrupts
from capsexp.begin import WAYS
from capsexp.errors import ArchiveError, CapsexpError, ConfigError
from capsexp.experiment import foresee, preflight
from capsexp.experiment.combinations import combinations, split
from capsexp.experiment.sweep import PlannedSweep, each_differs, plan
from capsexp.experiment.sweep_runner import SweepRunner
from capsexp.files import note, tell, tell_line, working_folder
from capsexp.lock import locked
from capsexp.overrides import key_of, pasted, several, unquoted
from capsexp.results.sweep import read_plan
from capsexp.resume import reopen
from capsexp.tool import TOKEN
from capsexp.trust import TRUST

_VALUED = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p")
_SEVERAL = ("-m", "--multirun")
DRY_RUN = "--dry-run"
_QUESTIONS = (
    "--help",
    "-h",
    "--hydra-help",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--version",
    "--resolve",
    "--shell-completion",
    "-sc",
)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 all runs finished, 1 a run failed, was refused or is missing, 2 configuration, with
    report.fail_on_gate 3 not feasible and 4 not decided, 130 interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    asked: list[int] = []
    try:
        working_folder()
        with interrupts.in_order() as asked:
            code = _main(argv, asked)
        return 130 if asked else code  # also while the report was made
    except BrokenPipeError:  # `| head` has seen enough
        return _quietly()
    except CapsexpError as error:
        if asked and isinstance(error, ConfigError):  # a library made it of the interrupt
            note("capsexp: interrupted")
            return 130
        note(f"capsexp: {escape.one_line(error)}")
        return 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        note(f"capsexp: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        note("capsexp: interrupted")
        return 130
    except Exception as error:
        note(f"capsexp: {debug.told(error)}")
        return 1


def entry() -> None:
    """What `python -m capsexp` and the console script do."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one Ctrl-C more than needed is no reason for a traceback
    try:
        if sys.stdout is not None:  # `>&-`
            sys.stdout.flush()
    except BrokenPipeError:
        code = _quietly()
    sys.exit(code)


def _quietly() -> int:
    """Nobody reads any more: what is left to be flushed at exit goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141  # as a shell says it of a program that SIGPIPE ended


def split_argv(argv: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Overrides, bare flags, and flags with a value: Hydra's own parser fails on an override that follows a flag."""
    overrides, flags, valued = [], [], {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _VALUED:
            valued[name] = value if equals else next(rest, "")
        elif word in ("--cfg", "-c", "--info", "-i"):
            flags.append(f"--{'cfg' if 'c' in word else 'info'}={next(rest, 'job')}")
        elif word.startswith("-"):
            flags.append(word)
        else:
            overrides.append(word)
    return overrides, flags, valued


def _main(argv: list[str], asked: list[int]) -> int:
    if not argv:
        tell(WAYS)
        return 0
    argv = _secret_aside(argv)
    overrides, flags, valued = split_argv(argv)
    chosen = valued.get("--config-dir", valued.get("-cd"))
    config_dir = Path(chosen) if chosen is not None else None
    config_name = valued.get("--config-name", valued.get("-cn", "config"))
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: {config_dir} is not a folder")
    if "--version" in flags:
        tell(f"capsexp {__version__}")
        return 0
    if any(flag.partition("=")[0] in _QUESTIONS for flag in flags):
        _one_configuration(overrides, flags)
        return compose.answer(config_dir, config_name, [*overrides, *flags])
    unknown = [flag for flag in flags if flag not in (*_SEVERAL, "-r", "--run", TRUST, DRY_RUN)]
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


def _one_configuration(overrides: list[str], flags: list[str]) -> None:
    """Hydra shows one configuration: raises ConfigError with the line for one of a sweep's."""
    swept, _ = split(overrides)
    if swept and any(flag.startswith(("--cfg", "--info")) for flag in flags):
        names = {key_of(o): o for o in combinations(swept)[0]}
        shown = [word for f in flags if f not in _SEVERAL for word in f.split("=")]
        line = [names.get(key_of(o), o) for o in overrides] + shown
        raise ConfigError(f"{' '.join(swept)}: shows one configuration at a time: python -m capsexp {shlex.join(line)}")


def _secret_aside(argv: list[str]) -> list[str]:
    """A token that stands on the command line goes where no file of the sweep will hold it."""
    kept = []
    for word in argv:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "server.token" and value and "${" not in value and value != "null":
            os.environ[TOKEN] = unquoted(value)
            word = f"server.token=${{oc.env:{TOKEN}}}"
        kept.append(word)
    return kept


def _own_tree(folder: Path, config_name: str) -> tuple[Path | None, str]:
    """The tree that a sweep to be resumed keeps, and its name in it, where its user had given one of their own."""
    try:
        _, _, valued = split_argv(read_plan(folder).argv)
    except ArchiveError:
        return None, config_name  # reopening says what is wrong
    if not valued.keys() & {"--config-dir", "-cd"}:
        return None, config_name
    return folder / "conf", valued.get("--config-name", valued.get("-cn", "config"))
