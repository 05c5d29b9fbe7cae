"""What Hydra composed -> Config, and back: it merges into the schema, because Hydra alone lets `+unknown=1` pass."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from capsexp import engines
from capsexp.config.whole import Config, check
from capsexp.errors import ConfigError
from capsexp.load import LOADS
from capsexp.mistyped import told
from capsexp.plugins import nearest
from capsexp.renamed import renewed
from capsexp.targets import TARGETS

# Paths, in which `~` is the home folder.
_PATHS = (
    ("samples", "dir"), ("engine", "model_dir"), ("punctuation", "model_dir"), ("monitor", "log"),
    ("server", "certfile"), ("server", "keyfile"), ("load", "csv"),
    ("server", "cwd"), ("server", "model"),
)  # fmt: skip
# Numbers within mappings within mappings: there alone OmegaConf refuses 1 for 1.0.
_NESTED = (("thresholds", "tiers"), ("slo", "classes"))


def schema(engine: str, target: str = "capswriter", load: str = "all") -> DictConfig:
    """The schema with the own keys of engine, target and load; raises ConfigError for unknown ones."""
    engines.ENGINES.check("engine", engine)
    TARGETS.check("target", target)
    LOADS.check("load", load)
    tree: DictConfig = OmegaConf.structured(
        Config(engine=engines.settings(engine)(), target=TARGETS.settings(target)(), load=LOADS.settings(load)())
    )
    return tree


def resolve(raw: DictConfig | dict[str, Any]) -> Config:
    """Merge a composed tree into the schema and check it; raises ConfigError with one line. `reference=auto` is settled
    here, so that what is recorded says what was compared with."""
    tree = raw if isinstance(raw, DictConfig) else OmegaConf.create(raw)
    try:
        plain = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(told(error)) from None
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    plain = renewed(plain)
    engine = plain.get("engine")
    if not isinstance(engine, dict) or not isinstance(engine.get("name"), str):
        raise ConfigError(f"engine: choose one of {', '.join(engines.ENGINES.names())} (engine=sphinx)")
    base = schema(engine["name"], _named(plain, "target", "capswriter"), _named(plain, "load", "all"))
    unknown = next(_unknown_keys(plain, base), None)
    if unknown:
        raise ConfigError(unknown)
    for group, name in _NESTED:
        if isinstance(part := plain.get(group), dict) and name in part:
            plain[group] = {**part, name: _floats(part[name])}
    try:
        config = OmegaConf.to_object(OmegaConf.merge(base, literal(plain)))
    except OmegaConfBaseException as error:
        raise ConfigError(told(error)) from None
    assert isinstance(config, Config)
    for group, name in _PATHS:
        if getattr(part := getattr(config, group), name, None):
            setattr(part, name, os.path.expanduser(getattr(part, name)))
    check(config)
    config.reference.name = config.reference.of(config.server.name)
    return config


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _floats(inner) for key, inner in value.items()}
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def _named(plain: dict[Any, Any], group: str, before: str) -> str:
    """What is chosen of a group; `before`: what there was when groups of its kind had no name."""
    found = plain.get(group)
    return found["name"] if isinstance(found, dict) and isinstance(found.get("name"), str) else before


def literal(value: Any) -> Any:
    """A tree of values, or one, so that OmegaConf reads its texts as they are: `${` may be part of a folder's name."""
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def to_dict(config: Config) -> dict[str, Any]:
    """The whole configuration as plain values, as written to run.json: without its secret."""
    plain = asdict(config)
    plain["server"]["token"] = None
    return plain


def without_labels(config: Config) -> dict[str, Any]:
    """As `to_dict`, without the languages that only say what is to be expected: no text depends on them."""
    plain = to_dict(config)
    plain["samples"].pop("language")
    if not config.engine.hears_language:
        plain["engine"].pop("language", None)
    return plain


def to_yaml(config: Config, **changed: Any) -> str:
    """The whole configuration but for its secret in one file that can be composed again."""
    return OmegaConf.to_yaml(OmegaConf.create({**literal(to_dict(config)), **changed}))


def _unknown_keys(tree: dict[Any, Any], base: DictConfig, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if str(key) not in base:
            yield f"{prefix}{key}: unknown key{nearest(str(key), list(base.keys()))}"
        elif (
            isinstance(value, dict)
            and isinstance(base.get(key), DictConfig)
            and OmegaConf.get_type(base, key) is not dict
        ):
            yield from _unknown_keys(value, base[key], f"{prefix}{key}.")
