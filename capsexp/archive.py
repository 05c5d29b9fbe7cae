"""MANIFEST.json, a zip with the same bytes for the same content, and checking both.

python -m capsexp.archive verify X names each changed, missing or extra file; X is a sweep's folder or its zip.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from capsexp.config import SamplesConfig, resolve
from capsexp.errors import ArchiveError, ConfigError, SampleError
from capsexp.files import read_json, write_json, write_text
from capsexp.samples import paths

MANIFEST = "MANIFEST.json"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
LIMIT_BYTES = 8 * 2**30  # nothing a sweep writes comes near it


def build(folder: Path, samples: bool | None = None) -> Path:
    """Write MANIFEST.json, `<folder>.zip` and `<folder>.zip.sha256`. `samples`: pack the audio; None: shipped sets."""
    _pack_samples(folder, samples)
    files = {name: _sha256(path) for name, path in _files(folder)}
    write_json(folder / MANIFEST, {"schema": 1, "files": files})
    target = folder.with_name(folder.name + ".zip")
    part = target.with_suffix(".zip.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
        for name, path in [*_files(folder), (MANIFEST, folder / MANIFEST)]:
            # Sorted, stored, with fixed dates and modes: the same content is the same archive.
            info = zipfile.ZipInfo(f"{folder.name}/{name}", FIXED_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3
            info.file_size = path.stat().st_size
            with path.open("rb") as source, out.open(info, "w") as packed:
                shutil.copyfileobj(source, packed, 1 << 20)
    part.replace(target)
    write_text(target.with_name(target.name + ".sha256"), f"{_sha256(target)}  {target.name}\n")
    return target


def verify(path: Path) -> list[str]:
    """Each changed, missing or extra file of a sweep's folder or zip; empty when all is as it was written.
    Raises ArchiveError when it is neither."""
    if path.is_dir():
        return _differences(path)
    said = path.with_name(path.name + ".sha256")
    with unpacked(path) as folder:
        problems = _differences(folder)
    if said.is_file() and said.read_text("utf-8").split()[:1] != [_sha256(path)]:
        problems.append(f"changed: {path.name} (its .sha256 says otherwise)")
    return problems


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The sweep's folder in a zip, for as long as the context lasts; raises ArchiveError for anything unsafe in it."""
    try:
        with zipfile.ZipFile(path) as packed, tempfile.TemporaryDirectory(prefix="capsexp-") as scratch:
            members = [_safe(member) for member in packed.infolist() if not member.is_dir()]
            roots = {member.filename.partition("/")[0] for member in members}
            if len(roots) != 1:
                raise ArchiveError(f"{path.name}: holds {len(roots)} folders at its top where one sweep is one")
            if sum(member.file_size for member in members) > LIMIT_BYTES:
                raise ArchiveError(f"{path.name}: unpacks to more than {LIMIT_BYTES >> 30} GB")
            for member in members:
                packed.extract(member, scratch)
            yield Path(scratch) / roots.pop()
    except FileNotFoundError:
        raise ArchiveError(f"{path}: no such archive") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
        raise ArchiveError(f"{path.name}: is no readable zip: {error}") from None


def _safe(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or ":" in member.filename:
        raise ArchiveError(f"unsafe name in the archive: {member.filename!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ArchiveError(f"a link in the archive: {member.filename!r}")
    return member


def _differences(folder: Path) -> list[str]:
    try:
        known: dict[str, str] = read_json(folder / MANIFEST)["files"]
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: no {MANIFEST}; not the folder of a finished sweep") from None
    except (ValueError, KeyError, TypeError):
        raise ArchiveError(f"{folder}: {MANIFEST} cannot be read") from None
    found = dict(_files(folder))
    problems = [f"missing: {name}" for name in known if name not in found]
    problems += [f"extra: {name}" for name in found if name not in known]
    problems += [f"changed: {name}" for name, path in found.items() if name in known and _sha256(path) != known[name]]
    return sorted(problems)


def _files(folder: Path) -> list[tuple[str, Path]]:
    named = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return sorted((name, path) for name, path in named if name != MANIFEST)


def _pack_samples(folder: Path, wanted: bool | None) -> None:
    """Copy the audio of each sample set that was used, with its transcripts, to samples/<set>/."""
    for key, config in _sample_sets(folder).items():
        if wanted is False or (wanted is None and config.set == "dir"):
            continue
        target = folder / "samples" / key
        try:
            files = paths(config)
        except SampleError:
            continue  # the runs have said so
        target.mkdir(parents=True, exist_ok=True)
        for name, path, text in files:
            shutil.copyfile(path, target / name)
            if text is not None:
                (target / name).with_suffix(".txt").write_text(text + "\n", "utf-8")


def _sample_sets(folder: Path) -> dict[str, SamplesConfig]:
    found: dict[str, SamplesConfig] = {}
    for path in sorted(folder.glob("*/run.json")):
        config = resolve(read_json(path)["config"]).samples
        found.setdefault(config.set, config)
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        _feed(digest, file)
    return digest.hexdigest()


def _feed(digest: Any, file: IO[bytes]) -> None:
    while block := file.read(1 << 20):
        digest.update(block)


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2 or argv[0] != "verify":
        raise ConfigError("usage: python -m capsexp.archive verify X, a sweep's folder or its zip")
    problems = verify(Path(argv[1]))
    print("\n".join(problems) if problems else json.dumps({"verified": Path(argv[1]).name}))
    return 1 if problems else 0


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.archive"))
