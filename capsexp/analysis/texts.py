"""What counts as the same word: how texts are made alike before errors are counted. Pure.

Both texts, reference and transcript, go through the same steps:
1. Unicode NFKC and case folding: composed and decomposed letters, full-width and half-width forms, ligatures, capital
   and small letters are alike.
2. Apostrophes of every shape are one, and stay only inside a word (`don't`).
3. Letters, digits and the marks on them stay: in Devanagari, Thai, Arabic or Hebrew a mark is part of the word. All
   else (punctuation, symbols) parts words; what is invisible (joiners, variation selectors, the tatweel) vanishes.
4. Words are what spaces part. Chinese and Japanese write none: each Han character and each kana is a word of its own.
CER is counted on the same words with one space between two of them, none beside a Han character or kana. Nothing is
spelled out: `3` and `three` are different words, and so is a word with vowel marks from the one without.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from capsexp.segments import WIDE

EXPLAINED = (
    "WER and CER: after Unicode NFKC and case folding, without punctuation, apostrophes unified, marks kept; each Han "
    "character or kana is a word; numbers are not spelled out; a lost request counts as all of its words deleted."
)
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u02bb\u05f3\u0060\u00b4\uff07"), "'")
_TATWEEL = "\u0640"
_SELECTORS = re.compile("[\u180b-\u180d\ufe00-\ufe0f\U000e0100-\U000e01ef\u034f]")


def tokens(text: str) -> list[str]:
    """The words of a text, as the module says."""
    found: list[str] = []
    joined = False  # to what came before
    text = _folded(text)
    for at, character in enumerate(text):
        kind = unicodedata.category(character)[0]
        if kind == "M":
            if joined:
                found[-1] += character
        elif kind in "LN":
            wide = WIDE.match(character)
            if joined and not wide and not WIDE.match(found[-1]):
                found[-1] += character
            else:
                found.append(character)
            joined = True
        elif character == "'" and joined and not WIDE.match(found[-1]) and _begins_word(text[at + 1 : at + 2]):
            found[-1] += character
        else:
            joined = False
    return found


@lru_cache(maxsize=10_000)
def normalise(text: str) -> str:
    """What CER is counted on: words with a space between two of them, none beside a Han character or kana."""
    made, before = "", True
    for word in tokens(text):
        wide = WIDE.match(word) is not None
        made += word if before or wide else f" {word}"
        before = wide
    return made


@lru_cache(maxsize=10_000)
def words(text: str) -> str:
    """What WER is counted on: the words, with spaces between them."""
    return " ".join(tokens(text))


def _begins_word(following: str) -> bool:
    return bool(following) and unicodedata.category(following)[0] in "LN" and not WIDE.match(following)


def _folded(text: str) -> str:
    """NFKC with case folding (Unicode 3.13, D146), after what is invisible has gone. Apostrophes are unified before, as
    NFKC takes some apart, and after, as folding brings one with U+0149."""
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c != _TATWEEL)
    text = unicodedata.normalize("NFD", _SELECTORS.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_APOSTROPHES)
