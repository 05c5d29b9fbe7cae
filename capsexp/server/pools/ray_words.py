"""What the gateway and an agent on a node say to each other beside what workers say."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from capsexp import __version__

# Of these a node must have the gateway's versions: a text may depend on them.
COMPARED = ("capsexp", "numpy", "onnxruntime", "pocketsphinx", "funasr-onnx", "sherpa-onnx")


@dataclass(frozen=True)
class Hello:
    """The header of an agent's control link: who it is. `node`: which of the placement group's bundles; `clock`,
    `pids`: see ray_link; sizes in MB."""

    node: int
    host: str
    address: str
    pid: int
    clock: str
    pids: str
    cpus: int
    total_mb: float
    available_mb: float
    versions: dict[str, str]
    link: str = field(default="control", init=False)

    def said(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Ended:
    """The last word on a worker's connection: its process has ended, in this way."""

    how: str


def hello(said: dict[str, Any]) -> Hello:
    """Raises TypeError or ValueError for what is none."""
    made = Hello(**{name: value for name, value in said.items() if name != "link"})
    for name, kind in (("node", int), ("host", str), ("clock", str), ("pids", str), ("versions", dict)):
        if not isinstance(getattr(made, name), kind):
            raise ValueError(f"{name} is no {kind.__name__}")
    return made


def versions() -> dict[str, str]:
    """Of COMPARED what is installed here."""
    found = {"capsexp": __version__}
    for name in COMPARED:
        try:
            found.setdefault(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return found


def differing(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What is not of one version here and there, in words; nothing where all is."""
    names = [name for name in COMPARED if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name, 'missing')} instead of {ours.get(name, 'none')}" for name in names)
