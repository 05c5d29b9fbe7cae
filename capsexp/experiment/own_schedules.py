"""The tables of a sweep that is made again from its folder: copies there stand in for those of the machine where it was
made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from capsexp.config import literal
from capsexp.experiment.combinations import combinations
from capsexp.experiment.schedules import FOLDER
from capsexp.files import HASH
from capsexp.load import LOADS
from capsexp.overrides import key_of, quote_override, quoted, unquoted

Named: TypeAlias = Mapping[str, Mapping[str, str]]
_KEPT = re.compile(rf"{FOLDER}/[0-9a-f]{{{HASH}}}\.csv")


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
