"""FunASR's WebSocket servers: JSON, PCM16 in binary frames, JSON, and results that end differently in each version."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from capsexp.protocol import RATE, Audio, JsonObject, ProtocolError, Result
from capsexp.setting import redefault, setting
from capsexp.targets._speech import LARGEST, final, joined, json_object, paired, parts, pcm16, piece_of, text_of
from capsexp.targets.base import Event, Frame, Partial, TargetConfig, TargetRequest


@dataclass
class Settings(TargetConfig):
    """FunASR's WebSocket servers."""

    pcm16: ClassVar[bool] = True
    tells: ClassVar[frozenset[str]] = frozenset()
    largest_frame: ClassVar[int | None] = LARGEST
    partials: ClassVar[bool] = True
    measures: ClassVar[frozenset[str]] = frozenset({"probe_timeout", "mode", "end", "chunk_size", "itn", "hotwords"})

    name: str = "funasr"
    ignore: list[str] = redefault(TargetConfig, "ignore", ["case", "spaces"])
    mode: str = setting("offline", "recognition mode", choices=("offline", "online", "2pass"))
    end: str = setting(
        "is_end",
        "what marks the last result; is_end: the servers in Python, and the C++ one for files; is_final: the C++ one "
        "for 2pass",
        choices=("is_end", "is_final"),
    )
    # Without it audio is dropped.
    chunk_size: list[int] = setting([5, 10, 5], "three numbers in units of 60 ms, for online and 2pass", high=1000)
    itn: bool = setting(True, "write numbers in digits")
    hotwords: str = setting("", "hotwords, in the server's own syntax")

    def problems(self) -> Iterator[str]:
        if len(self.chunk_size) != 3:
            yield f"target.chunk_size: {self.chunk_size} is no list of three numbers such as [5,10,5]"


class FunAsr:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._config, self._request = config, request
        self._ended = False  # what we send
        self._texts: list[str] = []
        self._words: list[tuple[str, float]] = []
        self._passing = ""  # what was heard at once, and will be heard again

    def opening(self) -> Iterator[Frame]:
        config = self._config
        yield json.dumps(
            {
                "mode": config.mode, "chunk_size": config.chunk_size, "chunk_interval": 10,
                "wav_name": self._request.id, "wav_format": "pcm", "audio_fs": RATE, "is_speaking": True,
                "itn": config.itn, "hotwords": config.hotwords,
            },
            ensure_ascii=False,
        )  # fmt: skip

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        return parts(pcm16(piece), LARGEST)

    def ending(self) -> Iterator[Frame]:
        self._ended = True
        yield json.dumps({"is_speaking": False, "is_end": True})

    def heard(self, frame: str | bytes) -> Sequence[Event]:
        fields = json_object(frame)
        if fields.get("error"):
            raise ProtocolError(str(fields["error"]))
        if fields.get("is_end") is True:
            return (self._all(),)
        if str(fields.get("mode", "")).endswith("2pass-online"):
            self._passing = joined([self._passing, text_of(fields, "text")])
            return (Partial(joined([*self._texts, self._passing])),)
        self._keep(fields)
        # Before our end nothing can be the last, whatever it says of itself.
        if self._ended and self._says_final(fields.get("is_final")):
            return (self._all(),)
        return (piece_of(self._request, joined(self._texts)),)

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        return ()

    def _says_final(self, is_final: object) -> bool:
        if self._config.end == "is_final":
            return is_final is True
        return is_final is False and self._config.mode == "offline"

    def _keep(self, fields: JsonObject) -> None:
        text = text_of(fields, "text")
        self._texts.append(text)
        self._passing = ""
        spans = fields.get("timestamp")
        try:
            spans = json.loads(spans) if isinstance(spans, str) else spans
        except ValueError:
            return
        if isinstance(spans, list):
            self._words += paired(text.split(), [s[0] if isinstance(s, list) and s else None for s in spans], 0.001)

    def _all(self) -> Result:
        return final(self._request, joined([*self._texts, self._passing]), self._words)


def begin(config: Settings, request: TargetRequest) -> FunAsr:
    return FunAsr(config, request)
