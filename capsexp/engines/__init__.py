"""Speech recognizers, one file each."""

from capsexp.engines.base import Engine, EngineConfig, EngineKind
from capsexp.plugins import Configured

__all__ = ["ENGINES", "Engine", "EngineConfig", "EngineKind", "every_settings", "known", "settings"]

ENGINES: Configured[EngineKind, EngineConfig] = Configured(
    "engine", __name__, "capsexp.engines", ("Settings", "load"), base=EngineConfig
)
settings, known, every_settings = ENGINES.settings, ENGINES.known, ENGINES.every
