"""Cutting audio into segments and merging their results, in order. Pure.

Cut: while the audio from the current offset holds `duration + 2*overlap`, emit its first `duration + overlap`
seconds and advance by `duration`; at the end emit the rest. It depends on the audio alone, never on how it was split
into messages. All positions are samples at 16 kHz until they become token times (seconds).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from capsexp.protocol import RATE, Audio

# Chinese and Japanese characters and their punctuation: written without spaces.
WIDE = re.compile("[\u2e80-\u30ff\u31c0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")
PIECES = 256  # that a cutter holds apart
REPEAT_WINDOW = 0.2  # s: the same token within this at a seam was heard twice


@dataclass(frozen=True)
class Cut:
    """Lengths in samples."""

    duration: int
    overlap: int

    @classmethod
    def of(cls, duration: float, overlap: float) -> Cut:
        """From seconds."""
        return cls(max(1, round(duration * RATE)), max(0, round(overlap * RATE)))


@dataclass(frozen=True)
class Segment:
    """`audio` begins `start` samples into the task; its first `shared` samples were in the segment before."""

    index: int
    start: int
    shared: int
    audio: Audio
    last: bool = False
    dropped: int = 0  # samples that it had, where they are not kept

    @property
    def length(self) -> int:
        """Samples."""
        return self.dropped or len(self.audio)

    def without_audio(self) -> Segment:
        """To remember it by: a minute of audio is 4 MB."""
        return replace(self, audio=self.audio[:0].copy(), dropped=len(self.audio))

    @property
    def new_s(self) -> float:
        """Seconds of audio no earlier segment held; they add up to the task's duration."""
        return (len(self.audio) - self.shared) / RATE

    @property
    def audio_s(self) -> float:
        return len(self.audio) / RATE

    @property
    def offset_s(self) -> float:
        return self.start / RATE


class Cutter:
    """Cuts a task's audio as it arrives; holds at most what the next segment needs."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.received = 0
        self._held: list[Audio] = []
        self._held_len = 0
        self._start = 0
        self._index = 0

    @property
    def held(self) -> int:
        """Samples that wait for the rest of their segment."""
        return self._held_len

    def drop(self) -> None:
        """Forget what is held: nobody wants it any more."""
        self._held, self._held_len = [], 0

    def feed(self, audio: Audio, final: bool = False) -> Iterator[Segment]:
        """Take a piece of the audio and emit the segments it completes (at least one when `final`)."""
        self.received += len(audio)
        if len(audio):
            self._held.append(audio)
            self._held_len += len(audio)
            if len(self._held) > PIECES:  # an array of one sample takes thirty times as much
                self._held = [np.concatenate(self._held)]
        size, need = self.cut.duration + self.cut.overlap, self.cut.duration + 2 * self.cut.overlap
        if self._held_len >= need or final:
            whole = self._held[0] if len(self._held) == 1 else np.concatenate([np.zeros(0, np.float32), *self._held])
            at = 0
            while len(whole) - at >= need:
                yield self._emit(whole[at : at + size], last=False)
                at += self.cut.duration
            if final:
                yield self._emit(whole[at:], last=True)
                at = len(whole)
            # A copy: a view would keep the whole message in memory, for every client that pauses.
            self._held, self._held_len = [whole[at:].copy()], len(whole) - at

    def _emit(self, audio: Audio, last: bool) -> Segment:
        segment = Segment(
            self._index, self._start, min(self.cut.overlap, len(audio)) if self._index else 0, audio, last
        )
        self._index += 1
        self._start += self.cut.duration
        return segment


def cut_all(audio: Audio, cut: Cut) -> list[Segment]:
    """All segments of a whole file."""
    return list(Cutter(cut).feed(audio, final=True))


@dataclass(frozen=True)
class Recognition:
    """What an engine heard in a segment: tokens, start times in seconds from the segment's start (empty when the
    engine has none), and how tokens are joined into text."""

    tokens: list[str]
    times: list[float] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)  # what else the engine heard: language, emotion, event

    @property
    def timed(self) -> bool:
        return len(self.times) == len(self.tokens)


@dataclass(frozen=True)
class Merged:
    """What was heard, as a result tells it."""

    text: str
    text_accu: str
    tokens: list[str]
    times: list[float]  # s from the task's start
    tags: list[str]


class _Begun(NamedTuple):
    """A segment: its first sample, and what was there before it."""

    start: int
    tokens: int
    words: int
    tags: int


class Merger:
    """Joins the recognitions of a task's segments, given strictly in order of their index.

    Two texts come out: `text` joins by agreement of the words in the overlap and needs no times; `text_accu` gives
    each token to the segment whose half-open interval, between the middles of its overlaps, holds its start.
    """

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.tokens: list[str] = []
        self.times: list[float] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self._begun: list[_Begun] = []

    def add(self, start: int, last: bool, heard: Recognition) -> None:
        """Add the next segment, which began `start` samples into the task."""
        tokens, tags = len(self.tokens), len(self.tags)
        self.tags += heard.tags
        if heard.timed:
            self._add_timed(start, last, heard)
        self._begun.append(_Begun(start, tokens, self._add_words(start, heard), tags))

    @property
    def text(self) -> str:
        return join(self.words)

    @property
    def text_accu(self) -> str:
        return join(self.tokens) if self.times else self.text

    def whole(self) -> Merged:
        """All that was heard so far."""
        return Merged(self.text, self.text_accu, self.tokens, self.times, self.tags)

    def latest(self, samples: int) -> Merged:
        """What was heard in the latest segment and those that began no more than `samples` before its end: what it
        costs does not grow with the task."""
        first = self._begun[-1]
        words = first.words
        for one in reversed(self._begun):
            if one.start < self._begun[-1].start + self.cut.duration - samples and one is not first:
                break
            first, words = one, min(one.words, words)  # a later one may have taken back what was an earlier one's
        text, tokens = join(self.words[words:]), self.tokens[first.tokens :]
        return Merged(
            text, join(tokens) if self.times else text, tokens, self.times[first.tokens :], self.tags[first.tags :]
        )

    def _add_timed(self, start: int, last: bool, heard: Recognition) -> None:
        offset, half = start / RATE, self.cut.overlap / 2
        low = (start + half) / RATE if start else float("-inf")
        high = float("inf") if last else (start + self.cut.duration + half) / RATE
        seam = len(self.tokens)
        for token, time in zip(heard.tokens, heard.times, strict=True):
            at = round(offset + time, 6)  # the same instant must compare equal from either segment
            if not low <= at < high or not math.isfinite(at):
                continue
            # Only across the seam: within a segment the engine's own "very very" is two words.
            if len(self.tokens) == seam > 0 and self.tokens[-1] == token and at - self.times[-1] <= REPEAT_WINDOW:
                continue
            self.tokens.append(token)
            self.times.append(at)

    def _add_words(self, start: int, heard: Recognition) -> int:
        """Returns how many of those before are left."""
        new = heard.tokens
        if not start:
            self.words.extend(new)
            return 0
        limit = self._overlap_words()
        drop, skip = longest_agreement(self.words[-limit:] if limit else [], new[:limit])
        if drop:
            del self.words[len(self.words) - drop :]
        left = len(self.words)
        self.words.extend(new[skip:])
        return left

    def _overlap_words(self) -> int:
        """How many words an overlap can hold: fast speech has about six tokens in a second."""
        return int(np.ceil(self.cut.overlap / RATE * 6)) + 2 if self.cut.overlap else 0


def join(words: Iterable[str], before: str = "") -> str:
    """Words as text: a space between two, unless one of the characters that meet is Chinese or Japanese. `before`: the
    character that the text goes on after."""
    words = list(words)
    if f"{before}{''.join(words)}".isascii():  # most languages need no look at each word
        return " ".join(([""] if before else []) + [word for word in words if word])
    parts: list[str] = []
    for word in words:
        if before and word and not WIDE.match(before) and not WIDE.match(word):
            parts.append(" ")
        parts.append(word)
        before = word[-1:] or before
    return "".join(parts)


def longest_agreement(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Where two overlapping word lists agree longest: (words to drop from `before`'s end, words to skip of `after`).

    The agreed run is kept once: what follows it in `before` and what precedes it in `after` was cut through by the
    edge of a segment, and goes. Of equally long runs the one that drops least wins. (0, 0) when nothing agrees.
    """
    best = (0, 0, 0, 0)  # length, -lost, drop, skip
    places: dict[str, list[int]] = {}
    for j, word in enumerate(after):
        places.setdefault(word, []).append(j)
    lengths: dict[int, int] = {}  # of the run that ends with the word before this one, by where in `after`
    for i, word in enumerate(before):
        lengths = {j: lengths.get(j - 1, 0) + 1 for j in places.get(word, ())}
        drop = len(before) - 1 - i
        for j, length in lengths.items():
            lost = drop + j + 1 - length
            best = max(best, (length, -lost, drop, j + 1))
    return best[2], best[3]
