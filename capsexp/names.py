"""Names of samples: each becomes the name of files that we write, here and wherever an archive is unpacked. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

MOST_BYTES = 150  # with `.json`, a process's number and more around it, below the 255 that file systems take
MOST_SUFFIX = 12
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)


def safe(path: str) -> str:
    """A relative path as one name: letters, marks, digits and `._-`, bounded, with its suffix. Safe names stay."""
    text = unicodedata.normalize("NFC", path)
    text = "".join(f"x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)  # bytes, no text
    name = "".join(c if _kept(c) else "-" for c in text)
    if name != text:
        name = re.sub(r"-{2,}", "-", name)
    name = unicodedata.normalize("NFC", name).lstrip("-.").rstrip("-. ")
    while name and unicodedata.category(name[0])[0] == "M":  # a mark would sit on what stands before the name
        name = name[1:].lstrip("-.")
    name = name or "audio"
    if text.rpartition(".")[2] == name and len(name.encode()) < MOST_SUFFIX:  # nothing is left but the suffix
        name = f"audio.{name}" if text != name else name
    if _RESERVED.match(name):
        name = f"_{name}"
    return _bounded(name, path)


def unique(paths: Sequence[str]) -> list[str]:
    """A safe name for each path, of which no two are one where case does not count. A file whose name is safe as it
    is keeps it, whatever else is there."""
    names = [safe(path) for path in paths]
    order = sorted(range(len(paths)), key=lambda i: (names[i] != paths[i], paths[i]))
    taken: set[str] = set()
    for i in order:
        name, turn = names[i], 1
        while taken & _keys(name):
            turn += 1
            name = _numbered(names[i], turn)
        taken |= _keys(name)
        names[i] = name
    return names


def _kept(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def _keys(name: str) -> set[str]:
    """What file systems and archives that ignore case would take it for."""
    return {name.lower(), unicodedata.normalize("NFC", name.casefold()), name.upper()}


def _numbered(name: str, turn: int) -> str:
    stem, suffix = _split(name)
    end = f"-{turn}"
    return _cut(stem, MOST_BYTES - len((end + suffix).encode())) + end + suffix


def _bounded(name: str, path: str) -> str:
    if len(name.encode()) <= MOST_BYTES:
        return name
    stem, suffix = _split(name)
    end = f"-{hashlib.sha256(path.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}{suffix}"
    return _cut(stem, MOST_BYTES - len(end.encode())) + end


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and len(suffix.encode()) <= MOST_SUFFIX else (name, "")


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore").rstrip("-.")
