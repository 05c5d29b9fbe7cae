"""What files hold, as values of a type: JSON whose form is known by its number, checked against the type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from capsexp.files import read_json

T = TypeVar("T")


def known(path: Path, schemas: Sequence[int] = (1,)) -> Any:
    """What a file says whose form this version knows; before there were numbers it was the first. Raises OSError,
    ValueError."""
    raw = read_json(path)
    schema = raw.get("schema", 1) if isinstance(raw, dict) else 1
    if schema not in schemas:
        raise ValueError(f"{path.name} has schema {schema!r}, which this version of capsexp does not know")
    return raw


def typed(raw: Any, kind: type[T]) -> T:
    """Raises ValueError, with the place of what is wrong."""
    if not isinstance(raw, dict):
        raise ValueError("is not a JSON object")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`", "").replace("$.", "")) from None


def named(name: str, raw: Any, kind: type[T]) -> T:
    """As `typed`; what is raised names the file."""
    try:
        return typed(raw, kind)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
