"""What an engine is: its settings, which say all that can be said without its library, and what recognizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from omegaconf import MISSING, OmegaConf

from capsexp.errors import EngineError
from capsexp.protocol import Audio
from capsexp.segments import Recognition

# What an engine says of itself, for the record: its library with version, threads, device, and what else it likes.
About: TypeAlias = Mapping[str, Any]


@dataclass
class EngineConfig:
    """What every engine has: each one's own schema derives from it and says what the engine can do. The file that
    holds it is imported by whoever reads a configuration: it imports its library where it loads."""

    fork_safe: ClassVar[bool] = False  # may be forked after loading, with one thread
    shareable: ClassVar[bool] = False  # its library releases the GIL and takes calls from several threads
    one_core: ClassVar[bool] = False  # recognizes on one core, whatever `threads` says
    speaks: ClassVar[bool] = True  # its texts are words of a language
    # Its own keys that say how to measure, and of which no value makes us load, run, reach or write anything: an
    # archive of anybody's may set them.
    measures: ClassVar[frozenset[str]] = frozenset()

    name: str = MISSING

    @property
    def hears_language(self) -> bool:
        """Whether the model is told `language`; else that is a label, of what it recognizes anyway."""
        return False

    @classmethod
    def languages(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The languages that an engine of these settings recognizes, by their codes; empty where nobody knows."""
        said = settings.get("language")
        return (said,) if said and said not in ("auto", "nospeech") else ()

    def problems(self) -> Iterator[str]:
        """What types and bounds cannot say: `engine.key: what is wrong; what to do`, each in one line."""
        return iter(())

    def unforkable(self) -> str | None:
        """Why an engine of these settings cannot be forked, as a setting and what to do; None if it can."""
        return None if self.fork_safe else f"engine={self.name} does not survive a fork; use pool=process"

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build or fetch, once, what several processes will look for; raises EngineError."""

    def files(self) -> list[Path]:
        """The model's files, which a record keeps the hashes of; raises EngineError saying what is missing."""
        return []

    def is_twin(self) -> bool:
        """Whether the weights are random: its text means nothing."""
        return False


class Engine(Protocol):
    """A loaded recognizer. One call at a time, unless its settings say `shareable`; the text of a segment depends on
    that segment alone. `about`: library with version, threads, device."""

    about: About

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        """Recognize one segment (float32, 16 kHz, mono) that begins `start` samples into its task and whose first
        `shared` samples were in the segment before. Raises EngineError."""
        ...


class EngineKind(Protocol):
    """What is chosen by name: a module, or any object, with these two."""

    @property
    def Settings(self) -> type[EngineConfig]:
        """Its schema, with a default for every key."""
        ...

    @property
    def load(self) -> Callable[[Any, int], Engine]:
        """`load(config, threads)`, of `Settings`, with so many threads; raises EngineError saying what is missing."""
        ...


def load(config: EngineConfig, threads: int) -> Engine:
    """Load an engine with `threads` threads; raises EngineError saying what is missing."""
    from capsexp.engines import ENGINES

    try:
        return ENGINES.get(config.name).load(config, threads)
    except ModuleNotFoundError as error:
        raise _without(config, error) from None


def model_files(config: EngineConfig) -> list[Path]:
    """The files the engine would load, for the record; raises EngineError."""
    try:
        return config.files()
    except ModuleNotFoundError as error:
        raise _without(config, error) from None


def _without(config: EngineConfig, error: ModuleNotFoundError) -> EngineError:
    return EngineError(f"engine={config.name} needs the package {error.name}: pip install {error.name}")


def load_settings(values: Mapping[str, Any], threads: int) -> Engine:
    """As `load`, from plain values, as they travel to another process."""
    return load(_config_of(values), threads)


def files_of_settings(values: Mapping[str, Any]) -> list[Path]:
    """As `model_files`, from plain values."""
    return model_files(_config_of(values))


def _config_of(values: Mapping[str, Any]) -> EngineConfig:
    from capsexp.engines import settings

    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings(values["name"])()), values))
    assert isinstance(config, EngineConfig)
    return config
