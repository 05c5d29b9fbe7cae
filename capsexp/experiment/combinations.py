"""The overrides of a command, taken apart into those of every run, by Hydra's own grammar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from capsexp import compose
from capsexp.errors import ConfigError
from capsexp.overrides import how_many, quote_override, unquoted

MANY = 200  # runs: more than this is a slip of the keyboard
# What launches runs and makes them of a command, for which ours wants Hydra's own.
OURS, BASIC = ("launcher", "sweeper"), "hydra._internal.core_plugins.basic_"


def countable(swept: Sequence[str], trials: int) -> None:
    """Raises ConfigError for more runs than anybody waits for, before any of them is made: they may not fit into the
    memory."""
    count = trials * math.prod(map(how_many, swept))
    if math.isinf(count):
        raise ConfigError("this sweep has no end; give its values one by one, or as range(1,9)")
    if count > MANY:
        raise ConfigError(f"this sweep has {count:.0f} runs; more than {MANY} are not what anybody waits for")


def here(fixed: Sequence[str]) -> None:
    """Runs are made here, one at a time; said before Hydra looks for a plugin."""
    for override in fixed:
        key, _, value = override.lstrip("+").partition("=")
        if key.removeprefix("hydra/") in OURS and value != "basic":
            raise ConfigError(elsewhere(key.removeprefix("hydra/")))


def elsewhere(key: str) -> str:
    return (
        f"hydra/{key}: capsexp makes its runs here, one at a time and in its own order: runs that share a machine, or "
        f"are spread over several, cannot be compared; leave hydra/{key} away (basic)"
    )


def _parse(overrides: Sequence[str]) -> Any:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(compose.one_line(error)) from None


def split(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those with several values, and the others, in Hydra's words."""
    swept: list[str] = []
    fixed: list[str] = []
    lines = [quote_override(o) for o in overrides]
    for parsed, line in zip(_parse(lines), lines, strict=True):
        (swept if parsed.is_sweep_override() else fixed).append(line)
    return swept, fixed


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Overrides with one value each, for every run of a sweep."""
    batches = BasicSweeper.split_arguments(_parse(overrides), None)
    return [list(combination) for batch in batches for combination in batch]


def plain(override: str) -> str:
    key, _, value = override.lstrip("+").partition("=")
    text = unquoted(value)
    return f"{key}={value.replace(chr(39), '') if text == value else text}"
