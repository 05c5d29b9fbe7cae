"""Model units -> words with their start times. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from capsexp.segments import WIDE

_TAG = re.compile(r"<\|[^|]*\|>")
_SPECIAL = frozenset({"<s>", "</s>", "<unk>", "<blank>"})


def from_bpe(tokens: Sequence[str], times: Sequence[float]) -> tuple[list[str], list[float]]:
    """FunASR's units: characters, and pieces of words that go on where they end with `@@`.

    Letters that stand alone become one abbreviation in capitals, as FunASR writes them (`a i` -> `AI`). `times` is
    empty or as long as `tokens`.
    """
    words: list[str] = []
    starts: list[float] = []
    unfinished = spelled = False
    for index, token in enumerate(tokens):
        if token in _SPECIAL:
            continue
        piece, goes_on = (token[:-2], True) if token.endswith("@@") else (token, False)
        letter = not unfinished and not goes_on and len(piece) == 1 and piece.isascii() and piece.isalpha()
        if unfinished or (letter and spelled):
            words[-1] += piece
            if letter:
                words[-1] = words[-1].upper()
        else:
            words.append(piece)
            starts += times[index : index + 1]
        unfinished, spelled = goes_on, letter
    return words, starts


def from_sentencepiece(pieces: Sequence[str], times: Sequence[float]) -> tuple[list[str], list[float], list[str]]:
    """SentencePiece's units, where `▁` begins a word and a character of Chinese or Japanese is a word of its own.

    Returns words, start times and the tags (`<|zh|>`) that were among them.
    """
    words: list[str] = []
    starts: list[float] = []
    tags: list[str] = []
    fresh = True
    for index, piece in enumerate(pieces):
        if _TAG.fullmatch(piece):
            tags.append(piece[2:-2])
            continue
        if piece in _SPECIAL:
            continue
        text = piece.lstrip("▁")
        fresh = fresh or text != piece
        if not text:
            continue
        if fresh or WIDE.match(text) or WIDE.match(words[-1][-1]):
            words.append(text)
            starts += times[index : index + 1]
        else:
            words[-1] += text
        fresh = False
    return words, starts, tags
