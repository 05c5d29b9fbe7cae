"""CapsWriter's servers, and our own: JSON in text frames, audio as base64 of float32, a result per segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from capsexp.protocol import SUBPROTOCOL, Audio, AudioMessage, Result, decode_result, encode_audio_utf8
from capsexp.setting import setting
from capsexp.targets.base import Frame, TargetConfig, TargetRequest, Utf8


@dataclass
class Settings(TargetConfig):
    """What CapsWriter's servers speak, and our own."""

    subprotocols: ClassVar[tuple[str, ...]] = (SUBPROTOCOL,)
    local: ClassVar[bool] = True
    reuses: ClassVar[bool] = True
    measures: ClassVar[frozenset[str]] = frozenset({"probe_timeout", "final"})

    name: str = "capswriter"
    # CapsWriter's server does not cut what comes in a final message.
    final: str = setting(
        "with_data",
        "with_data: is_final comes with the last audio; empty: in a message after it (CapsWriter's own client)",
        choices=("with_data", "empty"),
    )


class CapsWriter:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._with_data, self._request = config.final == "with_data", request

    def opening(self) -> Sequence[Frame]:
        return ()

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        yield self._message(piece, last and self._with_data)

    def ending(self) -> Iterator[Frame]:
        if not self._with_data:
            yield self._message(np.zeros(0, np.float32), True)

    def heard(self, frame: str | bytes) -> Sequence[Result]:
        return (decode_result(frame),)

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        return ()

    def _message(self, audio: Audio, is_final: bool) -> Utf8:
        request = self._request
        message = encode_audio_utf8(
            AudioMessage(
                request.id, np.asarray(audio), is_final=is_final, source="mic" if request.spoken else "file",
                time_start=request.time_start, seg_duration=request.seg_duration, seg_overlap=request.seg_overlap,
            )
        )  # fmt: skip
        return Utf8(message)


def begin(config: Settings, request: TargetRequest) -> CapsWriter:
    return CapsWriter(config, request)
