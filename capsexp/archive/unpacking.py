"""Unpacks archives. Since a zip may come from anyone, it is refused unless it has exactly the form of ours."""

from __future__ import annotations

import stat
import struct
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capsexp.archive.contents import MANIFEST
from capsexp.errors import ArchiveError
from capsexp.files import portable

# What zipfile raises for bytes that are no zip.
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
    OverflowError, struct.error,
)  # fmt: skip


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
            raise ArchiveError(f"{path.name}: is not a readable zip: {error}") from None
        yield root


def _unpack(path: Path, scratch: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
        names = [unicodedata.normalize("NFC", _safe(member)).casefold() for member in members]
        if len(set(names)) != len(names):
            raise ArchiveError(f"{path.name}: contains two files of the same name, as no archive of capsexp does")
        roots = {member.filename.partition("/")[0] for member in members}
        if len(roots) != 1:
            raise ArchiveError(f"{path.name}: has {len(roots)} top-level folders, but an archive of capsexp has one")
        # Stored, and without overlaps, it unpacks to less than it is.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ArchiveError(f"{path.name}: unpacks to more than its size; not made by capsexp, do not use it")
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
        raise ArchiveError(f"compressed or encrypted, so not made by capsexp: {name!r}; unpack it and give the folder")
    return name
