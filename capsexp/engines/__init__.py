"""Recognizers, a file each."""

from __future__ import annotations

from collections.abc import Iterator

from capsexp.engines.base import Engine, EngineConfig, EngineKind
from capsexp.errors import ConfigError
from capsexp.plugins import PlugPoint

__all__ = ["ENGINES", "Engine", "EngineConfig", "EngineKind", "every_settings", "known", "settings"]

ENGINES: PlugPoint[EngineKind] = PlugPoint("engine", __name__, "capsexp.engines", ("Settings", "load"))


def settings(name: str) -> type[EngineConfig]:
    """The settings of an engine; raises ConfigError in one line for one that is not here or cannot be used."""
    found = ENGINES.get(name).Settings
    if not (isinstance(found, type) and issubclass(found, EngineConfig)):
        raise ConfigError(f"engine {name!r}: its Settings are no dataclass derived from capsexp.engines.EngineConfig")
    return found


def known(name: object) -> type[EngineConfig]:
    """As `settings`; of an engine of another version, or of a package that is not here, what every engine has."""
    try:
        return settings(str(name))
    except ConfigError:
        return EngineConfig


def every_settings() -> Iterator[EngineConfig]:
    """The settings of all engines that can be chosen, as they are by default."""
    for name in ENGINES.names():
        try:
            yield settings(name)(name=name)
        except ConfigError:  # a broken package of somebody else's is told where it is asked for
            continue
