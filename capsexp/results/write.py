"""Writing what is typed: by the structs that read it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from capsexp.files import write_json


def write(path: Path, value: msgspec.Struct) -> None:
    """As write_json: all fields in their order. Raises StorageError."""
    write_json(path, msgspec.to_builtins(value))
