"""Which files of a sweep's folder are its own, and MANIFEST.json, which names them all with their hashes."""

from __future__ import annotations

import json
from pathlib import Path

from capsexp.errors import ArchiveError
from capsexp.files import read_whole, sha256
from capsexp.results.sweep import RUN_DIR

MANIFEST = "MANIFEST.json"
OWN_FILES = ("sweep.json", "environment.json")
# control: what versions before 0.2 called the reference
OWN_FOLDERS = ("conf", "control", "reference", "samples", "schedules")
# Hydra's own records, while it launched the runs: beside them, and in the folder of each.
HYDRAS = ("multirun.yaml", ".hydra")


def all_files(folder: Path) -> list[tuple[str, Path]]:
    """All that is in a folder, but for folders."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    named = ((path.relative_to(folder).as_posix(), path) for path in found)
    return sorted((name, path) for name, path in named if name != MANIFEST)


def own_files(folder: Path) -> list[tuple[str, Path]]:
    """The files of a sweep that we write and read. What else lies there (a launcher's, a server's, its user's) may hold
    anything, and is not for an archive. Raises ArchiveError for a link among them."""
    own = [(name, path) for name, path in all_files(folder) if _ours(name)]
    for name in (name for name, path in own if path.is_symlink()):
        raise ArchiveError(f"{name}: is a link, which an archive cannot hold; remove it")
    return [(name, path) for name, path in own if path.is_file()]


def _ours(name: str) -> bool:
    first, *rest = name.split("/")
    if not rest:
        return first in (*OWN_FILES, HYDRAS[0]) or first.startswith("report.")
    if first in OWN_FOLDERS:
        return True
    return RUN_DIR.fullmatch(first) is not None and not any(p.startswith(".") for p in rest if p != HYDRAS[1])


def manifest(files: dict[str, str]) -> str:
    """What MANIFEST.json says of these files and their hashes."""
    return json.dumps({"schema": 1, "files": files}, indent=1, ensure_ascii=False) + "\n"


def as_bytes(text: str) -> bytes:
    """As write_text writes it."""
    return text.encode("utf-8", "backslashreplace")


def differences(folder: Path) -> list[str]:
    """Each changed, missing or extra file of a sweep's folder. Raises ArchiveError where that cannot be told."""
    try:
        content = read_whole(folder / MANIFEST)
        known: dict[str, str] = dict(json.loads(content)["files"])
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: no {MANIFEST}; not the folder of a finished sweep") from None
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        raise ArchiveError(f"{folder}: {MANIFEST} cannot be read") from None
    found = dict(all_files(folder))
    links = {name for name, path in found.items() if path.is_symlink()}
    odd = {name for name, path in found.items() if name not in links and not path.is_file()}  # FIFOs, sockets, devices
    hashes = {name: sha256(path) for name, path in found.items() if name not in links and name not in odd}
    problems = [f"missing: {name}" for name in known if name not in found]
    problems += [f"extra: {name}" for name in found if name not in known]
    problems += [f"a link: {name}" for name in links]
    problems += [f"no regular file: {name}" for name in odd]
    problems += [f"changed: {name}" for name, digest in hashes.items() if name in known and digest != known[name]]
    if not problems and content != as_bytes(manifest(hashes)):
        problems.append(f"changed: {MANIFEST}")
    return sorted(problems)
