"""What `python -m capsexp.server|client|monitor` have in common: overrides and flags in any order, or, started by an
experiment, a resolved file."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from capsexp import debug, escape
from capsexp.config import Config, literal, resolve
from capsexp.config.described import line_of
from capsexp.errors import CapsexpError, ConfigError, StorageError
from capsexp.files import tell, working_folder
from capsexp.lifeline import die_with_parent

PARENT = "CAPSEXP_PARENT"  # in the environment: the process that started this one
TOKEN = "CAPSEXP_TOKEN"  # likewise: server.token, which no file is to hold


@dataclass(frozen=True)
class Call:
    """`zero` is the time.monotonic() that all times of a run count from; `guarded`: the end of stdin means stop."""

    config: Config
    run_dir: Path | None
    zero: float
    guarded: bool
    watch: tuple[str, ...] = ()


def parse(argv: Sequence[str], prog: str, description: str, aliases: dict[str, str]) -> Call:
    """`aliases` maps a flag to the key it sets, e.g. {"--port": "monitor.port"}. Raises ConfigError."""
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides, as for python -m capsexp")
    for flag, key in aliases.items():
        says = line_of(Config, key).replace("%", "%%")
        parser.add_argument(flag, metavar="VALUE", help=f"{key}=VALUE{f': {says}' if says else ''}")
    parser.add_argument("--config-dir", type=Path, help="a folder of your own that shadows the shipped conf/")
    parser.add_argument("--config-name", default="config", help="the file in it to begin with")
    for hidden in ("--config", "--run-dir"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--zero", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--stdin-guard", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--watch", action="append", default=[], help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args(argv)
    if args.stdin_guard and PARENT in os.environ:
        die_with_parent(int(os.environ[PARENT]))  # the end of stdin is not seen while it is busy or stopped
    if args.run_dir is not None:
        debug.keep(args.run_dir)
    zero = time.monotonic() if args.zero is None else args.zero
    if args.config is not None:
        # Reading a resolved file spares each child of a run the import and the work of Hydra.
        tree = OmegaConf.load(args.config)
        tree.server.token = literal(os.environ.get(TOKEN) or None)  # `${` may be part of it
        config = resolve(OmegaConf.to_container(tree))  # type: ignore[arg-type]
    else:
        from capsexp.compose import compose

        overrides = list(args.overrides)
        for flag, key in aliases.items():
            value = getattr(args, flag.lstrip("-").replace("-", "_"))
            if value is not None:
                overrides.append(f"{key}={value}")
        config = compose(overrides, args.config_dir, args.config_name)
    return Call(config, args.run_dir, zero, args.stdin_guard, tuple(args.watch))


def entry(run: Callable[[Sequence[str]], int], prog: str, about: str | None = None) -> int:
    """Run a tool: one line for every error, 130 for Ctrl-C. `about`: what --help says, where the tool does not."""
    try:
        working_folder()
        if about is not None and {"-h", "--help"} & set(sys.argv[1:]):
            tell(about)
            return 0
        return run(sys.argv[1:])
    except CapsexpError as error:
        tell(f"{prog}: {escape.one_line(error)}", sys.stderr)
        if isinstance(error, StorageError) and PARENT in os.environ:
            return StorageError.EXIT
        return ConfigError.EXIT if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        tell(f"{prog}: {debug.told(error)}", sys.stderr)
        return 1
