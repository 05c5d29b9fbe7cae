"""MANIFEST.json, a zip with the same bytes for the same content, and checking both.

python -m capsexp.archive verify X names each changed, missing or extra file; X is a sweep's folder or its zip.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from capsexp import escape
from capsexp.config import SamplesConfig
from capsexp.errors import ArchiveError, ConfigError, SampleError
from capsexp.files import PART, put, read_json, storing, sync, tell, write_text
from capsexp.samples import paths

MANIFEST = "MANIFEST.json"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# What zipfile raises for bytes that are no zip.
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
    OverflowError, struct.error,
)  # fmt: skip


def build(folder: Path, samples: bool | None = None) -> Path:
    """Write MANIFEST.json, `<folder>.zip` and `<folder>.zip.sha256`. `samples`: pack the audio; None: shipped sets.
    Raises StorageError."""
    target = folder.with_name(folder.name + ".zip")
    said = target.with_name(target.name + ".sha256")
    with storing(target.name):
        _pack_samples(folder, samples)
        write_text(folder / MANIFEST, _manifest({name: _sha256(path) for name, path in _files(folder)}))
        part = target.with_name(f".{target.name}{PART}")
        _pack(folder, part, sync)
        said.unlink(missing_ok=True)  # of the zip before: killed here, there must be none that contradicts the new one
        put(part, target)
    write_text(said, _said(target))
    return target


def _pack(folder: Path, target: Path, sync: Callable[[IO[bytes]], None] = lambda file: None) -> None:
    """The one zip of these files: sorted, stored, with fixed dates and modes."""
    with target.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
            for name, path in [*_files(folder), (MANIFEST, folder / MANIFEST)]:
                info = zipfile.ZipInfo(f"{folder.name}/{name}", FIXED_DATE)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.create_system = 3
                info.file_size = path.stat().st_size
                with path.open("rb") as source, out.open(info, "w") as packed:
                    shutil.copyfileobj(source, packed, 1 << 20)
        sync(file)


def _manifest(files: dict[str, str]) -> str:
    return json.dumps({"schema": 1, "files": files}, indent=1, ensure_ascii=False) + "\n"


def _said(zipped: Path) -> str:
    return f"{_sha256(zipped)}  {zipped.name}\n"


def verify(path: Path) -> list[str]:
    """Each changed, missing or extra file of a sweep's folder or zip; empty when every byte is as it was written.
    Raises ArchiveError when it is neither, or nothing that can be read safely."""
    if path.is_dir():
        return _differences(path)
    said = path.with_name(path.name + ".sha256")
    with unpacked(path) as folder:
        problems = _differences(folder)
        if not problems:
            # What no hash covers: headers, the directory, anything before, between and after.
            again = folder.with_name(f".{path.name}{PART}")
            with storing(again.name):
                _pack(folder, again)
            if _sha256(again) != _sha256(path):
                problems.append(f"changed: {path.name} (its files are right, but it is not the zip that was written)")
    if said.is_file() and said.read_bytes() != _said(path).encode():
        problems.append(f"changed: {path.name} (its .sha256 says otherwise)")
    return problems


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The sweep's folder in a zip, for as long as the context lasts; raises ArchiveError for anything unsafe in it."""
    with tempfile.TemporaryDirectory(prefix="capsexp-") as scratch:
        try:
            root = _unpack(path, Path(scratch))
        except FileNotFoundError:
            raise ArchiveError(f"{path}: no such archive") from None
        except _UNREADABLE as error:
            raise ArchiveError(f"{path.name}: is no readable zip: {error}") from None
        yield root


def _unpack(path: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
        names = [_safe(member).lower() for member in members]
        if len(set(names)) != len(names):
            raise ArchiveError(f"{path.name}: holds a name twice")
        roots = {member.filename.partition("/")[0] for member in members}
        if len(roots) != 1:
            raise ArchiveError(f"{path.name}: holds {len(roots)} folders at its top where one sweep is one")
        # Stored, and without overlaps, it unpacks to less than it is.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ArchiveError(f"{path.name}: unpacks to more than it is")
        for member in members:
            packed.extract(member, scratch)
    return scratch / roots.pop()


def _safe(member: zipfile.ZipInfo) -> str:
    """The name of a member that may be unpacked; raises ArchiveError for any that we do not write."""
    name = member.filename
    parts = name.split("/")
    if name != member.orig_filename or len(parts) < 2 or not name.isprintable() or set(parts) & {"", ".", ".."}:
        raise ArchiveError(f"unsafe name in the archive: {member.orig_filename!r}")
    if "\\" in name or ":" in name or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        raise ArchiveError(f"unsafe name in the archive: {name!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ArchiveError(f"{'a link' if kind == stat.S_IFLNK else 'no regular file'} in the archive: {name!r}")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ArchiveError(f"compressed or encrypted, which ours are not: {name!r}; unpack it and give the folder")
    return name


def _differences(folder: Path) -> list[str]:
    try:
        content = (folder / MANIFEST).read_bytes()
        known: dict[str, str] = dict(json.loads(content)["files"])
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: no {MANIFEST}; not the folder of a finished sweep") from None
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        raise ArchiveError(f"{folder}: {MANIFEST} cannot be read") from None
    found = dict(_files(folder))
    links = [name for name, path in found.items() if path.is_symlink()]
    hashes = {name: _sha256(path) for name, path in found.items() if name not in links}
    problems = [f"missing: {name}" for name in known if name not in found]
    problems += [f"extra: {name}" for name in found if name not in known]
    problems += [f"a link: {name}" for name in links]
    problems += [f"changed: {name}" for name, digest in hashes.items() if name in known and digest != known[name]]
    if not problems and content != _manifest(hashes).encode():
        problems.append(f"changed: {MANIFEST}")
    return sorted(problems)


def _files(folder: Path) -> list[tuple[str, Path]]:
    named = (
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_symlink() or path.is_file()
    )
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
        config = SamplesConfig(**read_json(path)["config"]["samples"])
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
    tell("\n".join(map(escape.one_line, problems)) if problems else json.dumps({"verified": Path(argv[1]).name}))
    return 1 if problems else 0


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.archive"))
