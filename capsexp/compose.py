"""Overrides -> Config. Hydra composes; nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError  # type: ignore[import-untyped]

from capsexp.config import Config, conf_dir, resolve, to_dict
from capsexp.engines import ENGINES
from capsexp.errors import ConfigError
from capsexp.load import LOADS
from capsexp.overrides import PRESET, fitted, key_of, pasted, quote_override
from capsexp.plugins import conf_folders, nearest
from capsexp.renamed import RENAMED
from capsexp.targets import TARGETS

REFUSED = (HydraException, OmegaConfBaseException, ValueError, YAMLError)  # what Hydra raises at what it is given


def raw(
    overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config", with_hydra: bool = False
) -> DictConfig:
    """Compose without checking; a folder of the user's shadows the shipped tree. Raises ConfigError with one line."""
    overrides = [quote_override(o) for o in overrides]
    folder, config_name = tree(config_dir, config_name)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(folder, version_base="1.3", job_name="capsexp"):
            return hydra_compose(config_name, fitted_to(overrides, config_name), return_hydra_config=with_hydra)
    except REFUSED as error:
        raise ConfigError(one_line(error)) from None


def compose(overrides: Sequence[str], config_dir: Path | None = None, config_name: str = "config") -> Config:
    """Compose and check; raises ConfigError with one line."""
    return resolve(raw(overrides, config_dir, config_name))


def fitted_to(overrides: Sequence[str], config_name: str) -> list[str]:
    """As the tree that Hydra was given takes them: trees of older archives have no preset among their defaults."""
    if not any(key_of(o) == PRESET for o in overrides):
        return fitted(overrides, has_preset=True)
    defaults = GlobalHydra.instance().config_loader().compute_defaults_list(config_name, [], RunMode.RUN)
    return fitted(overrides, PRESET in defaults.overrides.known_choices)


def _nearest_key(key: str) -> str:
    """What the user may have meant: its new name, or the closest of all dotted keys."""
    first, dot, rest = key.partition(".")
    if first in RENAMED:
        return f"; it is called {RENAMED[first]}{dot}{rest} now"

    def choices() -> Iterator[tuple[str, Config]]:
        yield from ((f"engine={each.name}", Config(engine=each)) for each in ENGINES.every())
        yield from ((f"target={each.name}", Config(target=each)) for each in TARGETS.every())
        yield from ((f"load={each.name}", Config(load=each)) for each in LOADS.every())

    def walk(tree: object, prefix: str = "") -> Iterator[str]:
        if isinstance(tree, dict):
            for name, value in tree.items():
                yield f"{prefix}{name}"
                yield from walk(value, f"{prefix}{name}.")

    known = {choice: set(walk(to_dict(config))) for choice, config in choices()}
    with_it = [choice for choice, keys in known.items() if key in keys]
    if 0 < len(with_it) < len(known):
        return f"; it needs {' or '.join(with_it)}"
    return nearest(key, set().union(*known.values()))


class _Behind(SearchPathPlugin):
    """What is found behind the folder that Hydra begins with: the shipped files, then those of others' packages."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in (conf_dir(), *conf_folders()):
            search_path.append("capsexp", f"file://{folder}")


Plugins.instance().register(_Behind)


def tree(config_dir: Path | None, config_name: str) -> tuple[str, str]:
    """The folder and the file that Hydra begins with."""
    if config_dir is None:
        return str(conf_dir()), config_name
    shipped = conf_dir() / f"{config_name}.yaml"
    if shipped.is_file() and not (config_dir / shipped.name).is_file():
        # Hydra wants the first file before it looks behind, in its store at least, and under a name of its own.
        config_name = f"shipped-{config_name}"
        ConfigStore.instance().store(config_name, OmegaConf.load(shipped))
    return str(config_dir.resolve()), config_name


def one_line(error: Exception) -> str:
    """Hydra's message without its hints for debugging, and with ours."""
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [
        line
        for line in lines
        if not line.startswith(("Set the env", "See https", "Config search path", "provider=", "Key '"))
    ]
    text = " ".join(lines[:3]) or type(error).__name__
    cause = error.__cause__
    if cause is not None and str(cause).splitlines() and str(cause).splitlines()[0] not in text:
        text += f" ({str(cause).splitlines()[0]})"
    override = getattr(error, "override", None)
    if override:
        if "=" not in override:
            return f"{override}: settings are key=value, see --help"
        text = f"{override}: {text}; to pass it as plain text: {pasted(override)}"
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        text = f"{unknown[1]}: unknown key{_nearest_key(unknown[1])}"
    if nowhere := re.match(r"Cannot find primary config '([^']+)'", text):
        text = f"--config-name: no {nowhere[1]}.yaml in conf/ or in the folder that --config-dir names"
    missing = re.match(r"In '[^']*': Could not find '([^'/]+)/([^']*)'", text)
    if missing:
        known = [line for line in lines[2:] if re.fullmatch(r"[\w.-]+", line)]
        text = f"{missing[1]}: unknown {missing[1]} {missing[2]!r}{nearest(missing[2], known)}"
    return text
