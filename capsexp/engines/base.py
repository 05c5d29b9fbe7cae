"""The protocol every recognizer follows, and the one place that knows them by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

from capsexp.config import ENGINES, EngineConfig, ModelConfig
from capsexp.engines import folders
from capsexp.errors import EngineError
from capsexp.protocol import Audio
from capsexp.segments import Recognition

# Imported only in the process that recognizes: the libraries behind them are heavy.
_MODULES = {name: f"capsexp.engines.{name}" for name in ENGINES}


class Engine(Protocol):
    """A loaded recognizer. One call at a time, unless its configuration says `shareable`; the text of a segment
    depends on that segment alone. `about`: library with version, threads, device."""

    about: dict[str, Any]

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        """Recognize one segment (float32, 16 kHz, mono) that begins `start` samples into its task and whose first
        `shared` samples were in the segment before. Raises EngineError."""
        ...


def load(config: EngineConfig, threads: int) -> Engine:
    """Load an engine with `threads` threads; raises EngineError saying what is missing."""
    engine: Engine = _module(config).load(config, threads)
    return engine


def model_files(config: EngineConfig) -> list[Path]:
    """The files the engine would load, for the record; raises EngineError."""
    if isinstance(config, ModelConfig):
        return folders.files(config)  # without the library: this is the runner asking
    files: list[Path] = _module(config).model_files(config)
    return files


def _module(config: EngineConfig) -> Any:
    try:
        return importlib.import_module(_MODULES[config.name])
    except ModuleNotFoundError as error:
        raise EngineError(f"engine={config.name} needs the package {error.name}: pip install {error.name}") from None


def load_settings(settings: dict[str, Any], threads: int) -> Engine:
    """As `load`, from plain values, as they travel to another process."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ENGINES[settings["name"]]()), settings))
    assert isinstance(config, EngineConfig)
    return load(config, threads)
