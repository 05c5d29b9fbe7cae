"""The zip of a sweep: the same bytes for the same content, under names that every system can unpack side by side."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from capsexp import escape
from capsexp.archive.contents import MANIFEST, as_bytes, manifest
from capsexp.files import portable, sha256

FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def pack(
    files: Sequence[tuple[str, Path]], root: str, target: Path, sync: Callable[[IO[bytes]], None] = lambda file: None
) -> None:
    """The one zip of these files: sorted, stored, with fixed dates and modes, and names that every system can unpack
    beside each other."""
    chosen = sorted(zip(members([name for name, _ in files]), (path for _, path in files), strict=True))
    listed = as_bytes(manifest({name: sha256(path) for name, path in chosen}))
    with target.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
            for name, path in chosen:
                with path.open("rb") as source, out.open(_info(f"{root}/{name}", path.stat().st_size), "w") as packed:
                    shutil.copyfileobj(source, packed, 1 << 20)
            out.writestr(_info(f"{root}/{MANIFEST}", len(listed)), listed)
        sync(file)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, FIXED_DATE)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.create_system = 3
    info.file_size = size
    return info


def members(names: Sequence[str]) -> list[str]:
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
