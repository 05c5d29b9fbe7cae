"""The tables by which requests begin (load=schedule): what one holds, and a copy of each in the folder of its sweep, so
that an archive can be run again elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from capsexp.config import Config, literal
from capsexp.errors import ConfigError
from capsexp.experiment.combinations import combinations
from capsexp.files import HASH, storing, taking_place
from capsexp.load import LOADS
from capsexp.overrides import key_of, quote_override, quoted, unquoted

FOLDER = "schedules"
Named: TypeAlias = Mapping[str, Mapping[str, str]]
_KEPT = re.compile(rf"{FOLDER}/[0-9a-f]{{{HASH}}}\.csv")


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


def brought(folder: Path, named: Named) -> dict[str, dict[str, Path]]:
    """The tables that a sweep's folder brings, as `keep` says it; of `named`, which may be anybody's, no setting that
    names no table and nothing that leads elsewhere."""
    settings = {f"load.{load.reads}" for load in LOADS.every() if load.reads}
    found = {}
    for key in settings & named.keys():
        paths = {file: folder / name for file, name in named[key].items() if _KEPT.fullmatch(name)}
        found[key] = {file: path for file, path in paths.items() if path.is_file() and not path.is_symlink()}
    return {key: files for key, files in found.items() if files}


def own(folder: Path, named: Named, overrides: Sequence[str]) -> dict[str, str]:
    """By setting, the override that names the folder's own tables in place of those of the machine where it was made;
    where `overrides` name several, or none, as the settings of that machine did, each of them."""
    found = {}
    for key, files in brought(folder, named).items():
        said = [o for o in overrides if key_of(o) == key]
        each = combinations([quote_override(said[-1])]) if said else []
        asked = [unquoted(word.partition("=")[2]) for [word] in each] or list(files)
        paths = [files.get(str(Path(value).expanduser())) for value in asked]
        if all(paths):
            found[key] = f"{key}={','.join(quoted(literal(str(path))) for path in paths)}"
    return found
