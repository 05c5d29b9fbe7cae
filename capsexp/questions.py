"""Flags that ask about the settings (--cfg, --info, ...): Hydra answers them; --help is answered here."""

from __future__ import annotations

import logging
import os
import shlex
import string
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf, open_dict

from capsexp.argv import ASKING, SEVERAL
from capsexp.compose import REFUSED, fitted_to, one_line, tree
from capsexp.errors import ConfigError
from capsexp.experiment.combinations import combinations, split
from capsexp.overrides import key_of, quote_override

_HELP = ("--help", "-h")
_CHOICES = {
    "--cfg": ("job", "hydra", "all"), "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}  # fmt: skip


def answer(overrides: Sequence[str], flags: Sequence[str], config_dir: Path | None, config_name: str) -> int:
    """The exit code. Raises ConfigError with one line."""
    _check(flags)
    if any(flag.startswith((*_HELP, "--cfg", "--info")) for flag in flags):
        _one_configuration(overrides, flags)
    if sys.stdout is None:  # `>&-`: Hydra would look for it
        return 0
    path, config_name = tree(config_dir, config_name)
    if any(o.startswith("query=") for o in overrides) and "COMP_LINE" not in os.environ:
        raise ConfigError("--shell-completion: query= is for the shell, which sets COMP_LINE; give install=bash")
    overrides = [quote_override(o) for o in overrides]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(path, version_base="1.3", job_name="capsexp"):
            overrides = fitted_to(overrides, config_name)
            if set(flags) <= {*_HELP, *SEVERAL}:
                print(_help(overrides, config_name), flush=True)  # raises where it cannot be written
                return 0
        return _hydras_own([*overrides, *flags], path, config_name)
    except REFUSED as error:
        raise ConfigError(one_line(error)) from None


def _check(flags: Sequence[str]) -> None:
    """Raises ConfigError for flags at which Hydra would show how it is used."""
    for flag in flags:
        name, _, value = flag.partition("=")
        if name not in ASKING and name not in SEVERAL:
            raise ConfigError(f"{name}: cannot be given with a question such as --help or --cfg; leave it out")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ConfigError(f"{flag}: give one of {', '.join(_CHOICES[name])}")


def _help(overrides: list[str], config_name: str) -> str:
    """The same text as Hydra's own, which takes twice as long, as it copies the whole tree for each group."""
    config = hydra_compose(config_name, overrides, return_hydra_config=True)
    template = string.Template(config.hydra.help.template)
    with open_dict(config):
        del config["hydra"]
    return template.safe_substitute(APP_CONFIG_GROUPS="\n".join(_groups()) + "\n", CONFIG=OmegaConf.to_yaml(config))


def _groups(parent: str = "") -> Iterator[str]:
    """A line for each, with its options."""
    loader = GlobalHydra.instance().config_loader()
    for name in sorted(loader.list_groups(parent)):
        group = f"{parent}/{name}" if parent else name
        if group == "hydra":
            continue
        folders = [source for source in loader.get_sources() if source.is_group(group)]
        options = {one for source in folders for one in source.list(group, ObjectType.CONFIG)}
        if options:
            yield f"{group}: {', '.join(sorted(options))}"
        yield from _groups(group)


def _hydras_own(words: list[str], path: str, config_name: str) -> int:
    before = sys.argv
    sys.argv = ["capsexp", *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise instead of printing and leaving with its own code
    warnings.filterwarnings("ignore", category=UserWarning, module="hydra")
    logging.captureWarnings(False)
    try:
        hydra.main(version_base="1.3", config_path=path, config_name=config_name)(_nothing)()
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    return 0


def _nothing(config: DictConfig) -> None:
    """What Hydra is to launch: it was asked a question."""


def _one_configuration(overrides: Sequence[str], flags: Sequence[str]) -> None:
    """Hydra shows one configuration: raises ConfigError with the line for one of a sweep's."""
    swept, _ = split(overrides)
    if swept:
        names = {key_of(o): o for o in combinations(swept)[0]}
        shown = [word for f in flags if f not in SEVERAL for word in f.split("=")]
        line = [names.get(key_of(o), o) for o in overrides] + shown
        raise ConfigError(f"{' '.join(swept)}: shows one configuration at a time: python -m capsexp {shlex.join(line)}")
