"""Wyoming, the protocol of Home Assistant's speech servers: over TCP a line of JSON, then its data and its payload."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from capsexp.protocol import RATE, Audio, JsonObject, ProtocolError, Result
from capsexp.setting import redefault, setting
from capsexp.targets._speech import final, joined, json_object, parts, pcm16, shown, text_of
from capsexp.targets.base import Event, Frame, Partial, TargetConfig, TargetRequest

FORM = {"rate": RATE, "width": 2, "channels": 1}
MOST = 2**24  # bytes of an event: more is something else's


@dataclass
class Settings(TargetConfig):
    """Wyoming, the protocol of Home Assistant's speech servers, over TCP: server.url=tcp://HOST:PORT"""

    transport: ClassVar[str] = "tcp"
    pcm16: ClassVar[bool] = True
    tokens: ClassVar[bool] = False
    tells: ClassVar[frozenset[str]] = frozenset()
    measures: ClassVar[frozenset[str]] = frozenset({"probe_timeout", "frame_s", "model", "language"})

    name: str = "wyoming"
    ignore: list[str] = redefault(TargetConfig, "ignore", ["case", "punctuation", "spaces"])
    frame_s: float = setting(1.0, "s of audio per event", low=0.01, high=60)
    model: str | None = setting(None, "model; null: the server decides")
    language: str | None = setting(None, "language; null: the server decides")


class Wyoming:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._config, self._request, self._come, self._said = config, request, b"", ""

    def opening(self) -> Iterator[Frame]:
        wanted = {"name": self._config.model, "language": self._config.language}
        yield _event("transcribe", {key: value for key, value in wanted.items() if value is not None})
        yield _event("audio-start", FORM)

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        data, size = pcm16(piece), 2 * max(1, round(self._config.frame_s * RATE))
        for part in parts(data, size):
            yield b"".join((_chunk_head(len(part)), part))

    def ending(self) -> Iterator[Frame]:
        yield _event("audio-stop", {})

    def heard(self, frame: str | bytes) -> Sequence[Event]:
        self._come += frame if isinstance(frame, bytes) else frame.encode()
        return [event for kind, data in self._whole() for event in self._meaning(kind, data)]

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        return ()

    def _whole(self) -> Iterator[tuple[str, JsonObject]]:
        """The events that have come to their end."""
        while (end := self._come.find(b"\n") + 1) or len(self._come) > MOST:
            if not end:
                raise ProtocolError(f"a line without an end: {shown(self._come[:100])}")
            if self._come.startswith(b"HTTP/"):
                said = shown(self._come[:end].strip())
                raise ProtocolError(f"{said}: that is HTTP: check server.url, or name the target that it speaks")
            line = json_object(self._come[:end])
            sizes = [line.get(key) or 0 for key in ("data_length", "payload_length")]
            if any(type(size) is not int or not 0 <= size <= MOST for size in sizes):
                raise ProtocolError(f"an event of an unusual size: {shown(self._come[:end])}")
            if len(self._come) < end + sum(sizes):
                return
            data, self._come = self._come[end : end + sizes[0]], self._come[end + sum(sizes) :]
            inline = line.get("data")
            more = json_object(data) if data else {}
            yield str(line.get("type")), {**(inline if isinstance(inline, dict) else {}), **more}

    def _meaning(self, kind: str, data: JsonObject) -> Iterator[Event]:
        if kind == "error":
            raise ProtocolError(str(data.get("text") or data.get("code") or "an error without a text"))
        if kind == "transcript-chunk":
            self._said = joined([self._said, text_of(data, "text")])
            yield Partial(self._said)
        elif kind == "transcript":
            yield final(self._request, text_of(data, "text"))


@lru_cache(maxsize=64)
def _chunk_head(size: int) -> bytes:
    """Of an event with so many bytes of audio."""
    return _event("audio-chunk", FORM, size)


def _event(kind: str, data: Mapping[str, Any], payload: int = 0) -> bytes:
    """All but the payload, which has so many bytes."""
    body = json.dumps(data).encode() if data else b""
    sizes = {"data_length": len(body), "payload_length": payload}
    line = {"type": kind, **{key: size for key, size in sizes.items() if size}}
    return json.dumps(line).encode() + b"\n" + body


def begin(config: Settings, request: TargetRequest) -> Wyoming:
    return Wyoming(config, request)
