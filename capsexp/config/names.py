"""Location of the shipped conf/, names of run folders, and the languages of engines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capsexp import engines

LONGEST = 80  # characters of a directory's name


def conf_dir() -> Path:
    """The shipped Hydra tree: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent.parent
    inside, beside = package / "conf", package.parent / "conf"
    return inside if inside.is_dir() else beside


def slug(text: str) -> str:
    """A directory name from overrides: short, without separators; with a hash where it would lose what tells."""
    name = re.sub(r"[^A-Za-z0-9=.,_-]+", "-", text).strip("-")
    if len(name) <= LONGEST and text.isascii():
        return name or "run"
    return f"{name[: LONGEST - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("-")


def languages(engine: Mapping[str, Any]) -> tuple[str, ...]:
    """What an engine recognizes, from its settings as plain values; empty where nobody knows."""
    return engines.known(engine.get("name")).languages(engine)


def engine_languages() -> dict[str, tuple[str, ...]]:
    """Of every engine what it recognizes with its default settings."""
    return {engine.name: engine.languages(asdict(engine)) for engine in engines.every_settings()}
