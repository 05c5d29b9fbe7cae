"""What is composed, and trees of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

# What our own tree said of Hydra's settings while Hydra launched the runs: nothing comes of it now.
OF_LAUNCHING = {"mode": "MULTIRUN", "job.chdir": False, "sweep.subdir": "${capsexp.run_dir:${hydra.job.num}}"}


@dataclass(frozen=True)
class Tree:
    """What is composed: `conf` and the file in it to begin with. `foreign`: it came with the folder; else it is the
    user's own, or the shipped one (None)."""

    conf: Path | None
    name: str
    foreign: bool = True


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Each value by its dotted key; an empty mapping is a value."""
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}{key}.")
    return found


def mapping(tree: Any) -> Mapping[str, Any]:
    """Settings as a mapping of plain values, unresolved interpolations as they are written."""
    plain = OmegaConf.to_container(OmegaConf.create(tree))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
