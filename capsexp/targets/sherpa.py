"""sherpa-onnx' offline WebSocket servers: a header, float32 in binary frames, one result, which is JSON of the C++ one
and plain text of the one in Python."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from capsexp.protocol import RATE, Audio, ProtocolError, Result
from capsexp.targets._speech import LARGEST, final, float32, paired, parts, shown, text_of
from capsexp.targets.base import Frame, TargetConfig, TargetRequest

NOTHING = "<EMPTY>"  # how the Python server says that it heard nothing


@dataclass
class Settings(TargetConfig):
    """sherpa-onnx' offline WebSocket servers, in C++ and in Python."""

    tells: ClassVar[frozenset[str]] = frozenset()
    reuses: ClassVar[bool] = True
    largest_frame: ClassVar[int | None] = LARGEST

    name: str = "sherpa"


class Sherpa:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._request = request

    def opening(self) -> Iterator[Frame]:
        # The C++ server does not survive one byte more than announced.
        yield struct.pack("<ii", RATE, 4 * self._request.samples)

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        return parts(float32(piece), LARGEST)

    def ending(self) -> Sequence[Frame]:
        return ()

    def heard(self, frame: str | bytes) -> Sequence[Result]:
        if isinstance(frame, bytes):
            raise ProtocolError(f"a binary message: {shown(frame)}")
        try:
            fields = json.loads(frame)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            text = " ".join(frame.split())
            return (final(self._request, "" if text == NOTHING else text),)
        words = paired(fields.get("tokens"), fields.get("timestamps"))
        return (final(self._request, text_of(fields, "text"), words),)

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        return ()


def begin(config: Settings, request: TargetRequest) -> Sherpa:
    return Sherpa(config, request)
