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


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")


@lru_cache(maxsize=10_000)
def comparable(text: str, ignored: frozenset[str], language: str | None = None) -> str:
    """A text without what is `ignored` (of IGNORABLE, see `targets`): for comparing it with an engine's. `numbers`:
    Chinese ones in digits (cn2an), others' in words (num2words; in English where nothing is known of the language)."""
    if "numbers" in ignored:
        text = _one_spelling(text, language)
    if "case" in ignored:
        text = text.casefold()
    if "punctuation" in ignored:
        text = " ".join("".join(" " if unicodedata.category(c)[0] in "PS" else c for c in text).split())
    return _joined_han(text) if "spaces" in ignored else text


def _joined_han(text: str) -> str:
    whole = ""
    for word in text.split():
        close = not whole or WIDE.match(whole[-1]) or WIDE.match(word)
        whole += word if close else f" {word}"
    return whole


def _one_spelling(text: str, language: str | None) -> str:
    """Neither library knows every text: one that it cannot read stays as it is."""
    if (language or "").startswith(("zh", "cmn", "yue")) or (language is None and WIDE.search(text)):
        from cn2an import transform

        try:
            return str(transform(text, "cn2an"))
        except ValueError:
            return text
    from num2words import num2words

    def spelled(found: re.Match[str]) -> str:
        try:
            said = str(
                num2words(
                    float(found[0]) if "." in found[0] else int(found[0]), lang=re.split(r"[-_]", language or "en")[0]
                )
            )
        except (NotImplementedError, OverflowError, ValueError):
            return found[0]
        return said.replace(",", "")

    return _HYPHEN.sub(" ", _NUMBER.sub(spelled, text))


def _begins_word(following: str) -> bool:
    return bool(following) and unicodedata.category(following)[0] in "LN" and not WIDE.match(following)


def _folded(text: str) -> str:
    """NFKC with case folding (Unicode 3.13, D146), after what is invisible has gone. Apostrophes are unified before, as
    NFKC takes some apart, and after, as folding brings one with U+0149."""
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c != _TATWEEL)
    text = unicodedata.normalize("NFD", _SELECTORS.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_APOSTROPHES)
