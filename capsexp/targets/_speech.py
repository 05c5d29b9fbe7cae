"""Shared by several targets: audio as bytes, JSON, and results."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from capsexp.protocol import RATE, Audio, JsonObject, ProtocolError, Result
from capsexp.segments import WIDE
from capsexp.targets.base import TargetRequest, as_pcm16

LARGEST = 2**20  # bytes of a message that servers made with Python's websockets take
FARTHEST_S = 1e9  # and in ms: more is no time in a sample
BEGUN = 80  # characters of something strange that are shown


def float32(piece: Audio) -> memoryview:
    return np.ascontiguousarray(piece, "<f4").data.cast("B")


def pcm16(piece: Audio) -> memoryview:
    """Audio that was 16 bits wide comes out as it was; what is so already, as it is."""
    return np.ascontiguousarray(as_pcm16(piece), "<i2").data.cast("B")


def wav_header(samples: int) -> bytes:
    """Of PCM16, 16 kHz, mono."""
    size = 2 * samples
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def parts(data: memoryview, largest: int) -> Iterator[memoryview]:
    """In frames of at most so many bytes; nothing of nothing."""
    return (data[at : at + largest] for at in range(0, len(data), largest))


def json_object(frame: str | bytes) -> JsonObject:
    """Raises ProtocolError for anything else."""
    try:
        fields = json.loads(frame)
    except (ValueError, RecursionError):
        raise ProtocolError(f"no JSON: {shown(frame)}") from None
    if not isinstance(fields, dict):
        raise ProtocolError(f"no JSON object: {shown(frame)}")
    return fields


def shown(frame: str | bytes) -> str:
    """The beginning of what is not understood."""
    text = frame.decode("utf-8", "replace") if isinstance(frame, bytes) else frame
    return repr(text[:BEGUN]) + ("..." if len(text) > BEGUN else "")


def text_of(fields: JsonObject, key: str) -> str:
    """Without line breaks and doubled spaces; raises ProtocolError where there is none."""
    text = fields.get(key)
    if not isinstance(text, str):
        raise ProtocolError(f"an answer without `{key}`: {shown(json.dumps(fields, ensure_ascii=False))}")
    return " ".join(text.split())


def joined(texts: Iterable[str]) -> str:
    """What was said one after the other: with a space, but none beside a Han character or kana."""
    whole = ""
    for text in filter(None, texts):
        close = not whole or WIDE.match(whole[-1]) or WIDE.match(text[0])
        whole += text if close else f" {text}"
    return whole


def number(value: object) -> float | None:
    """What is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < FARTHEST_S:
        return None
    return float(value)


Words = Sequence[tuple[str, float]]  # each with the second that it begins at


def timed(found: Any, word: str, start: str) -> list[tuple[str, float]]:
    """(word, start in s) of each JSON object of a list that has both, under the keys `word` and `start`."""
    listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    pairs = [(one.get(word), number(one.get(start))) for one in listed]
    return [(said.strip(), at) for said, at in pairs if isinstance(said, str) and at is not None]


def paired(words: Any, times: Any, scale: float = 1.0) -> list[tuple[str, float]]:
    """(word, start in s) of two lists of one length, `scale` seconds to a unit of `times`; else empty. Words
    without a number as their time are left out."""
    if not isinstance(words, list) or not isinstance(times, list) or len(words) != len(times):
        return []
    starts = [number(at) for at in times]
    return [(str(w), at * scale) for w, at in zip(words, starts, strict=True) if at is not None]


def final(request: TargetRequest, text: str, words: Words = (), duration: float = 0.0) -> Result:
    """The last result of a request, of a server that names none."""
    tokens, times = [w for w, _ in words], [at for _, at in words]
    return Result(request.id, True, duration, 0.0, 0.0, 0.0, text, "", tokens, times)


def piece_of(request: TargetRequest, text: str) -> Result:
    """A result that stands, with all that was said so far."""
    return Result(request.id, False, 0.0, 0.0, 0.0, 0.0, text, "")
