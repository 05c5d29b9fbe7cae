"""The overrides of a command, taken apart into those of every run, by Hydra's own grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from capsexp import compose
from capsexp.config import Config, resolve
from capsexp.errors import ConfigError
from capsexp.overrides import how_many, key_of, quote_override, unquoted

MANY = 200  # runs: more than this is a slip of the keyboard
# What launches runs and makes them of a command, for which ours wants Hydra's own.
OURS, BASIC = ("launcher", "sweeper"), "hydra._internal.core_plugins.basic_"
# What Hydra would do where it launched the runs: of its folders only that of the sweep is ours.
LAUNCHING = ("callbacks", "job.env_set", "job.env_copy", "job.chdir")
FOLDERS = ("run.dir", "sweep.subdir", "output_subdir")
_OF_TRIAL = re.compile(r"\$\{[^}]*\btrial\b")  # a setting that stands for which trial it is


def countable(swept: Sequence[str], trials: int) -> None:
    """Raises ConfigError for more runs than anybody waits for, before any of them is made: they may not fit into the
    memory."""
    count = trials * math.prod(map(how_many, swept))
    if math.isinf(count):
        raise ConfigError("this sweep has no end; give its values one by one, or as range(1,9)")
    if count > MANY:
        raise ConfigError(f"this sweep has {count:.0f} runs; at most {MANY} are allowed; give fewer values or trials")


def here(swept: Sequence[str], fixed: Sequence[str]) -> None:
    """Runs are made here, one at a time; said before Hydra looks for a plugin. Raises ConfigError."""
    for override in swept:
        if override.lstrip("+").startswith(("hydra.", "hydra/")):
            raise ConfigError(f"{override}: Hydra's own settings apply to the whole sweep; give one value")
    for override in fixed:
        key, _, value = override.lstrip("+").partition("=")
        if key.removeprefix("hydra/") in OURS and value != "basic":
            raise ConfigError(_elsewhere(key.removeprefix("hydra/")))
        if key.removeprefix("hydra.") in FOLDERS:
            raise ConfigError(f"{key}: is not read by capsexp; to choose the sweep's folder: hydra.sweep.dir=FOLDER")


def composes(hydra: DictConfig) -> None:
    """Raises ConfigError where Hydra's settings ask it for more than to compose: nothing would come of that."""
    for key in OURS:
        if not str(OmegaConf.select(hydra, f"{key}._target_", default="")).startswith(BASIC):
            raise ConfigError(_elsewhere(key))
    for key in LAUNCHING:
        if OmegaConf.select(hydra, key):
            raise ConfigError(
                f"hydra.{key}: has no effect, because capsexp uses Hydra only to compose settings and makes its runs "
                "itself; leave it out"
            )


def _elsewhere(key: str) -> str:
    return (
        f"hydra/{key}: capsexp makes its runs itself, one at a time, in its own order: runs that share a machine, or "
        f"are spread over several, cannot be compared; leave hydra/{key} out. To make runs jobs of a cluster: "
        "executor=slurm or executor=ray"
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
    """An override without Hydra's quotes and plus, for people."""
    key, _, value = override.lstrip("+").partition("=")
    text = unquoted(value)
    return f"{key}={value.replace(chr(39), '') if text == value else text}"


class Composer:
    """The settings of each combination. They are composed once for all trials, as that takes a good part of a second;
    for each of them where a setting stands for which trial it is. `base`: what `fixed` were composed to, with Hydra's
    own settings."""

    def __init__(self, config_dir: Path | None, config_name: str, base: DictConfig, fixed: Sequence[str]) -> None:
        self._of, self._base, self._fixed = (config_dir, config_name), base, list(fixed)
        self._found: dict[tuple[str, ...], Config | None] = {}

    def of(self, combination: Sequence[str]) -> Config:
        """Raises ConfigError."""
        if list(combination) == self._fixed:
            return resolve(OmegaConf.masked_copy(self._base, [str(key) for key in self._base if key != "hydra"]))
        rest = tuple(o for o in combination if key_of(o) != "trial")
        trial = next((value for o in combination if o not in rest and (value := o.partition("=")[2]).isdecimal()), "0")
        if (known := self._found.get(rest)) is not None and int(trial) > 0:
            return replace(deepcopy(known), trial=int(trial))
        tree = compose.raw(combination, *self._of)
        stands = _OF_TRIAL.search(str(OmegaConf.to_container(tree, resolve=False)))
        config = resolve(tree)
        self._found[rest] = None if stands else config
        return deepcopy(config)
