"""vosk's WebSocket server: PCM16 in binary frames, an answer to each, and one to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from capsexp.protocol import RATE, Audio, Result
from capsexp.setting import redefault, setting
from capsexp.targets._speech import LARGEST, final, joined, json_object, parts, pcm16, piece_of, text_of, timed
from capsexp.targets.base import Event, Frame, Partial, TargetConfig, TargetRequest

EOF = '{"eof" : 1}'  # to the letter: it is compared as text


@dataclass
class Settings(TargetConfig):
    """vosk's WebSocket server."""

    pcm16: ClassVar[bool] = True
    tells: ClassVar[frozenset[str]] = frozenset()
    largest_frame: ClassVar[int | None] = LARGEST
    partials: ClassVar[bool] = True
    measures: ClassVar[frozenset[str]] = frozenset({"probe_timeout", "frame_s"})

    name: str = "vosk"
    ignore: list[str] = redefault(TargetConfig, "ignore", ["case", "punctuation", "spaces"])
    frame_s: float = setting(
        0.25, "s of audio per frame; each frame gets an answer", low=0.01, high=30
    )  # of which 32 s are the largest frame


class Vosk:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._seconds, self._request = config.frame_s, request
        self._due = 0  # answers
        self._ended = False
        self._texts: list[str] = []
        self._words: list[tuple[str, float]] = []

    def opening(self) -> Iterator[Frame]:
        yield json.dumps({"config": {"sample_rate": RATE, "words": True}})

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        for part in parts(pcm16(piece), 2 * max(1, round(self._seconds * RATE))):
            self._due += 1
            yield part

    def ending(self) -> Iterator[Frame]:
        self._due, self._ended = self._due + 1, True
        yield EOF

    def heard(self, frame: str | bytes) -> Sequence[Event]:
        fields = json_object(frame)
        self._due -= 1
        last = self._ended and self._due == 0
        if not last and "partial" in fields:
            return (Partial(joined([*self._texts, text_of(fields, "partial")])),)
        self._texts.append(text_of(fields, "text"))
        self._words += timed(fields.get("result"), "word", "start")
        whole = joined(self._texts)
        return (final(self._request, whole, self._words) if last else piece_of(self._request, whole),)

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        return ()


def begin(config: Settings, request: TargetRequest) -> Vosk:
    return Vosk(config, request)
