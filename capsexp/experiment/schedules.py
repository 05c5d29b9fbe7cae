"""The tables by which requests begin (load=schedule): what one holds, and a copy of each in the folder of its sweep, so
that an archive can be run again elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from capsexp.config import Config
from capsexp.errors import ConfigError
from capsexp.files import HASH, storing, taking_place

FOLDER = "schedules"


def digest(path: Path) -> str:
    """Of what it holds, wherever it is. Raises OSError."""
    if not path.is_file():  # reading a FIFO or a device may never end
        raise OSError("no regular file")
    return hashed(path.read_bytes())


def hashed(content: bytes) -> str:
    """The name of a table by what it holds."""
    return hashlib.sha256(content).hexdigest()[:HASH]


def check(configs: Iterable[Config]) -> None:
    """Raises ConfigError for a table that cannot be read."""
    for key, file in dict.fromkeys((c.load.reads, c.load.file) for c in configs if c.load.file):
        try:
            digest(Path(file or ""))
        except OSError as error:
            raise ConfigError(
                f"load.{key}={file}: cannot be read: {error.strerror or error}; a sweep that was made with it keeps a "
                f"copy in its folder, in {FOLDER}/"
            ) from None


def keep(folder: Path, configs: Iterable[Config]) -> dict[str, dict[str, str]]:
    """Copy the tables of these runs into the folder of their sweep: by setting (`load.csv`), the name of each there by
    its own. Raises StorageError, OSError."""
    found: dict[str, dict[str, str]] = {}
    for key, file in dict.fromkeys((c.load.reads, c.load.file) for c in configs):
        if key and file:
            content = Path(file).read_bytes()
            name = f"{FOLDER}/{hashed(content)}.csv"
            with storing(folder / name):
                (folder / FOLDER).mkdir(exist_ok=True)
                with taking_place(folder / name) as part:
                    part.write_bytes(content)
            found.setdefault(f"load.{key}", {})[file] = name
    return found
