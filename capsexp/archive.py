"""MANIFEST.json, a zip with the same bytes for the same content, and checking both.

python -m capsexp.archive verify X names each changed, missing or extra file; X is a sweep's folder or its zip.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from capsexp import escape
from capsexp.config import SamplesConfig
from capsexp.counts import counted
from capsexp.errors import ArchiveError, ConfigError, SampleError
from capsexp.files import beside, portable, read_json, read_whole, sha256, storing, sync, taking_place, tell, write_text
from capsexp.redact import Redaction
from capsexp.results.read import RUN_DIR, read_plan
from capsexp.samples import paths

MANIFEST = "MANIFEST.json"
OWN_FILES = ("sweep.json", "environment.json", "multirun.yaml")
OWN_FOLDERS = ("conf", "control", "reference", "samples")
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# What zipfile raises for bytes that are no zip.
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
    OverflowError, struct.error,
)  # fmt: skip


def beside_it(folder: Path) -> tuple[Path, Path]:
    """The zip of a sweep's folder and its hash."""
    target = folder.with_name(folder.name + ".zip")
    return target, target.with_name(target.name + ".sha256")


def build(folder: Path, samples: bool | None = None, transcripts: bool = True) -> Path:
    """Write MANIFEST.json, `<folder>.zip` and `<folder>.zip.sha256`. `samples`: pack the audio; None: shipped sets.
    Without `transcripts` the zip holds hashes in place of texts and names of samples; the folder stays as it is. Raises
    StorageError, and ArchiveError where a link leads out of the folder."""
    target, said = beside_it(folder)
    with storing(target):
        _pack_samples(folder, samples)
        own = _own_files(folder)
        write_text(folder / MANIFEST, _manifest({name: sha256(path) for name, path in own}))
        root = _members([folder.name])[0]
        with taking_place(target) as part:
            if transcripts:
                _pack(own, root, part, sync)
            else:
                with tempfile.TemporaryDirectory(prefix="capsexp-") as scratch:
                    Redaction(folder).copy(own, Path(scratch))
                    _pack(_own_files(Path(scratch)), root, part, sync)
            said.unlink(missing_ok=True)  # of the zip before: killed here, none may contradict the new one
    write_text(said, _said(target))
    return target


def again(folder: Path) -> None:
    """Bring the manifest of a finished sweep, and its zip where it has one, up to its files, packed as before."""
    chosen = read_plan(folder).get("archive")
    chosen = chosen if isinstance(chosen, dict) else {}
    if beside_it(folder)[0].is_file():
        build(folder, chosen.get("samples"), chosen.get("transcripts") is not False)
    else:
        write_text(folder / MANIFEST, _manifest({name: sha256(path) for name, path in _own_files(folder)}))


def holds(zipped: Path, transcripts: bool = True) -> str:
    """What an archive of ours gives away, in one line, to be said when it is made."""
    with zipfile.ZipFile(zipped) as packed:
        names = [name.partition("/")[2] for name in packed.namelist()]
    texts = {name.rpartition("/")[2] for name in names if "/transcripts/" in name and name.endswith(".json")}
    sets = sorted({name.split("/")[1] for name in names if name.startswith("samples/")})
    audio = f", and the audio and transcripts of samples={', '.join(sets)}" if sets else ", and no audio"
    if transcripts:
        it = f"the texts that were recognized in {counted(len(texts), 'sample')}, under their names{audio}"
        return f"it holds {it}; archive.transcripts=false keeps hashes instead"
    return f"it holds hashes in place of the texts of {counted(len(texts), 'sample')} and of their names{audio}"


@contextmanager
def as_written(*folders: Path) -> Iterator[None]:
    """Files that no run of ours has written so can hold anything: an error in reading them is one line, with what was
    changed in them, or what stood in the way. Raises ArchiveError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        changed: list[str] = []
        for folder in folders:
            with suppress(ArchiveError):
                changed += [f"{folder}: {line}" for line in verify(folder)]
        why = changed[0] if changed else f"{folders[0]}: {type(error).__name__}: {error}"
        raise ArchiveError(f"cannot be reported on, as its files are not as they were written: {why}") from error


def _pack(
    files: Sequence[tuple[str, Path]], root: str, target: Path, sync: Callable[[IO[bytes]], None] = lambda file: None
) -> None:
    """The one zip of these files: sorted, stored, with fixed dates and modes, and names that every system can unpack
    beside each other."""
    members = sorted(zip(_members([name for name, _ in files]), (path for _, path in files), strict=True))
    manifest = _bytes(_manifest({name: sha256(path) for name, path in members}))
    with target.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
            for name, path in members:
                with path.open("rb") as source, out.open(_info(f"{root}/{name}", path.stat().st_size), "w") as packed:
                    shutil.copyfileobj(source, packed, 1 << 20)
            out.writestr(_info(f"{root}/{MANIFEST}", len(manifest)), manifest)
        sync(file)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, FIXED_DATE)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.create_system = 3
    info.file_size = size
    return info


def _members(names: Sequence[str]) -> list[str]:
    """For each name of a file the name it has in a zip: itself, unless some system could not keep it, or not beside the
    others, as case does not count there."""
    taken: set[str] = set()
    found = []
    for name in names:
        member = "/".join(_portable(part) for part in name.split("/"))
        if unicodedata.normalize("NFC", member).casefold() in taken:
            before, _, last = member.rpartition("/")
            stem, dot, suffix = last.rpartition(".")
            last = f"{stem or suffix}~{_digest(name)}{dot}{suffix if stem else ''}"
            member = f"{before}/{last}" if before else last
        taken.add(unicodedata.normalize("NFC", member).casefold())
        found.append(member)
    return found


def _portable(part: str) -> str:
    if portable(part):
        return part
    safe = re.sub(r'[\\:*?"<>|/\s]+', "-", escape.one_line(part)).strip(". -")
    short = os.fsencode(safe)[:200].decode("utf-8", "ignore")
    return f"{short}-{_digest(part)}" if portable(f"{short}-{_digest(part)}") else f"{_digest(part)}-{short}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def _manifest(files: dict[str, str]) -> str:
    return json.dumps({"schema": 1, "files": files}, indent=1, ensure_ascii=False) + "\n"


def _bytes(text: str) -> bytes:
    """As write_text writes it."""
    return text.encode("utf-8", "backslashreplace")


def _said(zipped: Path) -> str:
    return f"{sha256(zipped)}  {zipped.name}\n"


def verify(path: Path) -> list[str]:
    """Each changed, missing or extra file of a sweep's folder or zip; empty when every byte is as it was written.
    Raises ArchiveError when it is neither, or nothing that can be read safely."""
    if path.is_dir():
        return _differences(path, _files(path))
    said = path.with_name(path.name + ".sha256")
    with unpacked(path) as folder:
        problems = _differences(folder, _files(folder))
        if not problems:
            # What no hash covers: headers, the directory, anything before, between and after.
            again = beside(folder)
            with storing(again):
                _pack(_files(folder), folder.name, again)
            if sha256(again) != sha256(path):
                problems.append(f"changed: {path.name} (its files are right, but it is not the zip that was written)")
    if said.is_file() and said.read_bytes() != _bytes(_said(path)):
        problems.append(f"changed: {path.name} (its .sha256 says otherwise)")
    return problems


@contextmanager
def verified(path: Path) -> Iterator[Path]:
    """A sweep's folder as it was written, or that in its zip, unpacked for as long as the context lasts; raises
    ArchiveError, also where anything in it was changed."""
    if problems := verify(path):
        raise ArchiveError(
            f"{path.name} is not as it was written: {problems[0]}; python -m capsexp.archive verify {path} lists all"
        )
    with nullcontext(path) if path.is_dir() else unpacked(path) as folder:
        yield folder


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The sweep's folder in a zip, for as long as the context lasts; raises ArchiveError for anything unsafe in it."""
    with tempfile.TemporaryDirectory(prefix="capsexp-") as scratch:
        if not path.exists():
            raise ArchiveError(f"{path}: no such archive")
        if not path.is_file():
            raise ArchiveError(f"{path}: is neither a folder nor a file")
        try:
            root = _unpack(path, Path(scratch))
        except _UNREADABLE as error:
            raise ArchiveError(f"{path.name}: is no readable zip: {error}") from None
        yield root


def _unpack(path: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
        names = [unicodedata.normalize("NFC", _safe(member)).casefold() for member in members]
        if len(set(names)) != len(names):
            raise ArchiveError(f"{path.name}: holds a name twice")
        roots = {member.filename.partition("/")[0] for member in members}
        if len(roots) != 1:
            raise ArchiveError(f"{path.name}: holds {len(roots)} folders at its top where one sweep is one")
        # Stored, and without overlaps, it unpacks to less than it is.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ArchiveError(f"{path.name}: unpacks to more than it is")
        if f"{next(iter(roots))}/{MANIFEST}" not in {member.filename for member in members}:
            raise ArchiveError(f"{path.name}: no {MANIFEST}; not the archive of a finished sweep")
        for member in members:
            packed.extract(member, scratch)
    return scratch / roots.pop()


def _safe(member: zipfile.ZipInfo) -> str:
    """The name of a member that may be unpacked; raises ArchiveError for any that we do not write."""
    name = member.filename
    if name != member.orig_filename or "/" not in name or not portable(name):
        raise ArchiveError(f"unsafe name in the archive: {member.orig_filename!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ArchiveError(f"{'a link' if kind == stat.S_IFLNK else 'no regular file'} in the archive: {name!r}")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ArchiveError(f"compressed or encrypted, which ours are not: {name!r}; unpack it and give the folder")
    return name


def _differences(folder: Path, files: Sequence[tuple[str, Path]]) -> list[str]:
    try:
        content = read_whole(folder / MANIFEST)
        known: dict[str, str] = dict(json.loads(content)["files"])
    except FileNotFoundError:
        raise ArchiveError(f"{folder}: no {MANIFEST}; not the folder of a finished sweep") from None
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        raise ArchiveError(f"{folder}: {MANIFEST} cannot be read") from None
    found = dict(files)
    links = {name for name, path in found.items() if path.is_symlink()}
    odd = {name for name, path in found.items() if name not in links and not path.is_file()}  # FIFOs, sockets, devices
    hashes = {name: sha256(path) for name, path in found.items() if name not in links and name not in odd}
    problems = [f"missing: {name}" for name in known if name not in found]
    problems += [f"extra: {name}" for name in found if name not in known]
    problems += [f"a link: {name}" for name in links]
    problems += [f"no regular file: {name}" for name in odd]
    problems += [f"changed: {name}" for name, digest in hashes.items() if name in known and digest != known[name]]
    if not problems and content != _bytes(_manifest(hashes)):
        problems.append(f"changed: {MANIFEST}")
    return sorted(problems)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """All that is in a folder, but for folders."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    named = ((path.relative_to(folder).as_posix(), path) for path in found)
    return sorted((name, path) for name, path in named if name != MANIFEST)


def _own_files(folder: Path) -> list[tuple[str, Path]]:
    """The files of a sweep that we write and read. What else lies there (a launcher's, a server's, its user's) may hold
    anything, and is not for an archive. Raises ArchiveError for a link among them."""
    own = [(name, path) for name, path in _files(folder) if _ours(name)]
    for name in (name for name, path in own if path.is_symlink()):
        raise ArchiveError(f"{name}: is a link, and an archive holds files alone; remove it")
    return [(name, path) for name, path in own if path.is_file()]


def _ours(name: str) -> bool:
    first, *rest = name.split("/")
    if not rest:
        return first in OWN_FILES or first.startswith("report.")
    if first in OWN_FOLDERS:
        return True
    return RUN_DIR.fullmatch(first) is not None and not any(p.startswith(".") for p in rest if p != ".hydra")


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
            try:
                if not path.is_file():  # copying a FIFO or a device may never end
                    continue
                source = path.open("rb")
            except OSError:
                continue  # the runs have gone on without it, too
            with source, (target / name).open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            if text is not None:
                (target / f"{name}.txt").write_text(text + "\n", "utf-8")


def _sample_sets(folder: Path) -> dict[str, SamplesConfig]:
    found: dict[str, SamplesConfig] = {}
    for path in sorted(folder.glob("*/run.json")):
        try:
            settings = read_json(path)["config"]["samples"]
            config = SamplesConfig(**{key: settings[key] for key in vars(SamplesConfig()) if key in settings})
        except (OSError, ValueError, LookupError, TypeError):
            continue  # the report says that it is damaged
        found.setdefault(config.set, config)
    return found


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2 or argv[0] != "verify":
        raise ConfigError("usage: python -m capsexp.archive verify X, a sweep's folder or its zip")
    problems = verify(Path(argv[1]))
    tell("\n".join(map(escape.one_line, problems)) if problems else json.dumps({"verified": Path(argv[1]).name}))
    return 1 if problems else 0


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.archive", __doc__))
