"""What others wrote, on its way to a terminal or a page: names, errors and texts of an archive, a server or a file.

A control character moves the cursor, clears the screen or prints what nobody measured; a character that turns the
direction of writing shows one name as another; half of a pair of surrogates cannot be printed at all.
"""

from __future__ import annotations

import unicodedata
from typing import TextIO

# Format characters that words are spelled with: Persian, Hindi and others need the (non-)joiners.
_SPELLING = "\u200c\u200d"
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, surrogates, line and paragraph separators


def one_line(text: object) -> str:
    """The text with everything that is not seen where it stands as `\\x1b` or `\\u202e`; line ends too."""
    return _escaped(str(text), "")


def lines(text: object) -> str:
    """As `one_line`, of a text of several lines: their ends stay."""
    return _escaped(str(text), "\n")


def markdown(text: object) -> str:
    """As `one_line`, and without what Markdown (a table's cell, too) gives a meaning."""
    return one_line(str(text).replace("\n", " ")).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def xml(text: object) -> str:
    """As `one_line`, and without what XML 1.0 has no way to hold; what its markup is made of is its writer's to
    escape."""
    return one_line(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def encodable(text: str, out: TextIO) -> str:
    """The text with what the stream cannot write as `\\u4f60`: a report in an odd place beats a traceback."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        pass
    return text


def _escaped(text: str, kept: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in kept or not _unseen(c) else _name(c) for c in text)


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _SPELLING


def _name(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
