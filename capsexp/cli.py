"""The command line: from its arguments to an exit code. Every error a user can act on is one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from capsexp import __version__, debug, escape, interrupts
from capsexp.argv import ASKING, split_argv
from capsexp.begin import WAYS
from capsexp.errors import CapsexpError, ConfigError, not_installed
from capsexp.files import note, tell, working_folder


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
        missing = not_installed(error) if isinstance(error, ModuleNotFoundError) else None
        note(f"capsexp: {missing or debug.told(error)}")
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


def _main(argv: list[str], asked: list[int]) -> int:
    if not argv:
        tell(WAYS)
        return 0
    argv = _secret_aside(argv)
    overrides, flags, valued = split_argv(argv)
    chosen = valued.get("--config-dir", valued.get("-cd"))
    config_dir = Path(chosen) if chosen is not None else None
    config_name = valued.get("--config-name", valued.get("-cn", "config"))
    for name, value in valued.items():
        if not value:
            raise ConfigError(f"{name}: give its value behind it")
        if name in ("--config-path", "-cp", "--package", "-p"):
            raise ConfigError(f"{name}: is not used; give --config-dir with a folder of your own")
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: {config_dir} is not a folder")
    if "--version" in flags:
        tell(f"capsexp {__version__}")
        return 0
    if any(flag.partition("=")[0] in ASKING for flag in flags):
        from capsexp.questions import answer

        return answer(overrides, flags, config_dir, config_name)
    from capsexp.sweep_command import sweep_command  # what plans and runs sweeps takes a second to import

    return sweep_command(argv, overrides, flags, config_dir, config_name, asked)


def _secret_aside(argv: list[str]) -> list[str]:
    """A token that stands on the command line goes where no file of the sweep will hold it."""
    kept = []
    for word in argv:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "server.token" and value and "${" not in value and value != "null":
            from capsexp.overrides import unquoted
            from capsexp.tool import TOKEN

            os.environ[TOKEN] = unquoted(value)
            word = f"server.token=${{oc.env:{TOKEN}}}"
        kept.append(word)
    return kept
