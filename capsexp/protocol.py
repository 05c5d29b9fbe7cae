"""The CapsWriter messages, as values: JSON text in, dataclasses out, and back. Pure.

Audio is base64 of little-endian float32 PCM, 16 kHz, mono. Unknown keys are ignored, so that clients of either
generation (with and without `time_frame`, `context`, `language`) are understood.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pybase64
from numpy.typing import NDArray

RATE = 16_000
SUBPROTOCOL = "binary"
MAX_SEGMENT_SECONDS = 600.0
MAX_VALUES = 10_000  # of JSON in a client's message: a value may take 20 times its text, and seconds to be read
PAYLOAD = 16_384  # characters: base64 audio of this length or more is cut out before the JSON is parsed
MAX_TASK_ID = 200  # characters: it goes back with every result

Audio = NDArray[np.float32]
JsonObject: TypeAlias = dict[str, Any]  # what somebody else sent: each value is looked at before it is used


class ProtocolError(ValueError):
    """A message that does not follow the protocol; `task_id` is what could still be read of it."""

    def __init__(self, reason: str, task_id: str | None = None) -> None:
        super().__init__(reason)
        self.task_id = task_id


@dataclass(frozen=True)
class AudioMessage:
    """Client to server: a piece of a task's audio. Times in seconds."""

    task_id: str
    audio: Audio
    is_final: bool
    source: str = "file"
    time_start: float = 0.0
    seg_duration: float = 15.0
    seg_overlap: float = 2.0


@dataclass(frozen=True)
class Result:
    """Server to client, one per finished segment; the last has `is_final` and the whole text."""

    task_id: str
    is_final: bool
    duration: float
    time_start: float
    time_submit: float
    time_complete: float
    text: str
    text_accu: str
    tokens: list[str] = field(default_factory=list)
    timestamps: list[float] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)  # ours: language, emotion and events that the engine heard


def in_url(host: str) -> str:
    """A host as an address holds it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def encode_audio(message: AudioMessage) -> str:
    """The text frame of a client's message."""
    return encode_audio_utf8(message).decode("ascii")


def encode_audio_utf8(message: AudioMessage) -> bytes:
    """The same as it goes over the wire: megabytes are encoded once."""
    fields = {
        "task_id": message.task_id, "is_final": message.is_final, "source": message.source,
        "time_start": message.time_start, "seg_duration": message.seg_duration, "seg_overlap": message.seg_overlap,
    }  # fmt: skip
    data = pybase64.b64encode(np.ascontiguousarray(message.audio, "<f4").data.cast("B"))
    # Nobody need look through megabytes for what JSON has to escape: base64 has none of it.
    return b"".join((json.dumps(fields)[:-1].encode(), b', "data": "', data, b'"}'))


def decode_audio(frame: str | bytes, max_segment_s: float = math.inf) -> AudioMessage:
    """Parse a client's message; raises ProtocolError saying what is wrong with it. A segment may last `max_segment_s`:
    it decides what a worker takes of memory."""
    if isinstance(frame, bytes):
        raise ProtocolError("binary frame: send JSON in text frames")
    fields = _around_payload(frame) or _bounded(frame)
    task_id = fields.get("task_id")
    if not isinstance(task_id, str) or not task_id:
        raise ProtocolError("task_id: a non-empty string is needed")
    # It is sent back, logged and written into tables: no lone surrogates, line ends or zeros.
    if len(task_id) > MAX_TASK_ID or not task_id.isprintable():
        raise ProtocolError(f"task_id: at most {MAX_TASK_ID} printable characters are taken")
    is_final = fields.get("is_final", False)
    if not isinstance(is_final, bool):
        raise ProtocolError("is_final: true or false is needed", task_id)
    duration = _seconds(fields, "seg_duration", 15.0, task_id)
    overlap = _seconds(fields, "seg_overlap", 2.0, task_id)
    if not 0.1 <= duration <= MAX_SEGMENT_SECONDS or not 0 <= overlap <= duration:
        raise ProtocolError(
            f"seg_duration {duration:g} must be 0.1 to {MAX_SEGMENT_SECONDS:g} s and seg_overlap {overlap:g} 0 to that",
            task_id,
        )
    if duration + 2 * overlap > max_segment_s:  # the last one has what is left when no further one can be cut
        raise ProtocolError(
            f"seg_duration {duration:g} + 2 x seg_overlap {overlap:g} is more than server.max_segment_s = "
            f"{max_segment_s:g} s",
            task_id,
        )
    return AudioMessage(
        task_id=task_id,
        audio=_pcm(fields.get("data", ""), task_id),
        is_final=is_final,
        source=str(fields.get("source", "file")),
        time_start=_seconds(fields, "time_start", 0.0, task_id),
        seg_duration=duration,
        seg_overlap=overlap,
    )


def encode_result(result: Result) -> str:
    """The text frame of a server's message."""
    return json.dumps(vars(result), ensure_ascii=False, allow_nan=False)


def encode_error(reason: str, task_id: str | None) -> str:
    """The text frame that says why a task fails; `task_id`: None where it is not known whose message it was."""
    return json.dumps({"task_id": task_id, "error": reason}, ensure_ascii=False)


def decode_result(frame: str | bytes) -> Result:
    """Parse a server's message; raises ProtocolError, also for a server's `error`.

    Servers of 2025 leave out `text_accu`; it is then the empty string.
    """
    fields = _json_object(frame)
    task_id = fields.get("task_id")
    if "error" in fields:
        raise ProtocolError(str(fields["error"]), task_id if isinstance(task_id, str) else None)
    if not isinstance(task_id, str):
        raise ProtocolError("result without task_id")
    tags = fields.get("tags")
    return Result(
        task_id=task_id,
        is_final=fields.get("is_final") is True,
        duration=_seconds(fields, "duration", 0.0, task_id),
        time_start=_seconds(fields, "time_start", 0.0, task_id),
        time_submit=_seconds(fields, "time_submit", 0.0, task_id),
        time_complete=_seconds(fields, "time_complete", 0.0, task_id),
        text=str(fields.get("text", "")),
        text_accu=str(fields.get("text_accu", "")),
        tokens=[str(t) for t in _list(fields, "tokens", task_id)],
        timestamps=_numbers(_list(fields, "timestamps", task_id), "timestamps", task_id),
        tags=[str(t) for t in tags] if isinstance(tags, list) else [],
    )


_DATA = re.compile(r'"data"\s*:\s*"')
_HOLE = "@"  # where the audio was


def _around_payload(frame: str) -> JsonObject | None:
    """A message with much audio, which is cut out before the rest is read as JSON: a parser would look at each of its
    characters and make a string of them. None where that cannot be done, or is not worth it."""
    found = _DATA.search(frame) if len(frame) > PAYLOAD else None
    if found is None:
        return None
    begin, end = found.end(), frame.find('"', found.end())
    if end - begin < PAYLOAD or frame.find("\\", begin, end) >= 0:
        return None
    rest = f"{frame[:begin]}{_HOLE}{frame[end:]}"
    if rest.count(_HOLE) > 1:
        return None
    fields = _bounded(rest)
    if fields.get("data") != _HOLE:  # it was the data of something else
        return None
    fields["data"] = frame[begin:end]
    return fields


def _bounded(frame: str) -> JsonObject:
    if sum(map(frame.count, "[{,")) > MAX_VALUES:  # audio, which may be large, has none of these
        raise ProtocolError(f"more than {MAX_VALUES} values in one message: audio is base64 text in `data`")
    return _json_object(frame)


def _json_object(frame: str | bytes) -> JsonObject:
    try:
        fields = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ProtocolError("a JSON object is needed")
    return fields


def _number(value: object, key: str, task_id: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"{key}: a number is needed", task_id)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ProtocolError(f"{key}: a finite number is needed", task_id)
    return number


def _numbers(values: list[object], key: str, task_id: str) -> list[float]:
    if set(map(type, values)) == {float} and all(map(math.isfinite, values)):  # type: ignore[arg-type]
        return values  # type: ignore[return-value]
    return [_number(value, key, task_id) for value in values]


def _list(fields: JsonObject, key: str, task_id: str) -> list[object]:
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise ProtocolError(f"{key}: a list is needed", task_id)
    return value


def _seconds(fields: JsonObject, key: str, default: float, task_id: str) -> float:
    value = fields.get(key)
    return default if value is None else _number(value, key, task_id)


def _pcm(data: object, task_id: str) -> Audio:
    if not isinstance(data, str):
        raise ProtocolError("data: base64 text is needed", task_id)
    try:
        raw = pybase64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("data: not base64", task_id) from None
    if len(raw) % 4:
        raise ProtocolError(f"data: {len(raw)} bytes are not whole float32 samples", task_id)
    audio = np.frombuffer(raw, "<f4")
    if not np.isfinite(audio).all():
        raise ProtocolError("data: samples must be finite", task_id)
    return audio
