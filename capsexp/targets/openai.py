"""Servers that speak OpenAI's `POST /v1/audio/transcriptions`: a form with a WAV in it, and an answer in one of several
forms."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from capsexp.protocol import Audio, ProtocolError, Result
from capsexp.setting import redefault, setting
from capsexp.targets._speech import final, json_object, number, pcm16, text_of, timed, wav_header
from capsexp.targets.base import Frame, TargetConfig, TargetRequest

REMEDIES = {
    401: "give its key as server.token=SECRET",
    403: "give its key as server.token=SECRET",
    404: "check target.path and target.model",
    405: "check target.path",
    413: "the upload is too large for it: leave the longest samples out",
    426: "that is a WebSocket server: check server.url, or name the target that it speaks",
    429: "send fewer at once (load.concurrency=N)",
    503: "send fewer at once (load.concurrency=N), or retry later",
}
REFUSED = (400, 404, 422)  # what was asked for
_TAG = re.compile(r"<[^>]*>")


@dataclass
class Settings(TargetConfig):
    """Servers that speak OpenAI's audio API over HTTP: server.url=http://HOST:PORT"""

    transport: ClassVar[str] = "http"
    pcm16: ClassVar[bool] = True
    reuses: ClassVar[bool] = True
    where: ClassVar[str] = "server.url and target.path"
    tells: ClassVar[frozenset[str]] = frozenset()  # FunASR's `duration` is the time that it took
    measures: ClassVar[frozenset[str]] = frozenset(
        {"probe_timeout", "model", "model_key", "format", "language", "words", "fields"}
    )

    name: str = "openai"
    ignore: list[str] = redefault(TargetConfig, "ignore", ["case", "punctuation", "spaces"])
    path: str = setting("/v1/audio/transcriptions", "path of requests on the server")
    model: str | None = setting(None, "model name, required: target.model=whisper-1")
    model_key: str = setting("model", "form field for the model")
    format: str = setting("json", "format of the answer", choices=("json", "verbose_json", "text"))
    language: str | None = setting(None, "language; null: the server decides")
    words: bool = setting(False, "ask for word times (format=verbose_json)")
    fields: dict[str, str] = setting({}, "further form fields, as text, e.g. {temperature: '0'}")

    def at(self, url: str) -> str:
        return url.rstrip("/") + self.path

    def problems(self) -> Iterator[str]:
        if not re.fullmatch(r"/[!-~]*", self.path):
            yield f"target.path: {self.path!r} is no path; one is /v1/audio/transcriptions"
        if not self.model:
            yield "target.model: the server has to be told a model, as target.model=whisper-1; see its own list"
        if self.words and self.format != "verbose_json":
            yield "target.words: only target.format=verbose_json holds the times of words"


class OpenAi:
    def __init__(self, config: Settings, request: TargetRequest) -> None:
        self._config, self._request = config, request
        self._boundary = hashlib.sha256(request.id.encode()).hexdigest()
        self._come = b""

    def head(self) -> Mapping[str, str]:
        size = len(self._before()) + 2 * self._request.samples + len(self._after())
        return {"Content-Type": f"multipart/form-data; boundary={self._boundary}", "Content-Length": str(size)}

    def opening(self) -> Iterator[Frame]:
        yield self._before()

    def audio(self, piece: Audio, last: bool) -> Iterator[Frame]:
        yield pcm16(piece)

    def ending(self) -> Iterator[Frame]:
        yield self._after()

    def heard(self, frame: str | bytes) -> Sequence[Result]:
        self._come += frame if isinstance(frame, bytes) else frame.encode()
        return ()

    def closed(self, code: int, reason: str) -> Sequence[Result]:
        if not 200 <= code < 300:
            said = " ".join(part for part in (str(code), _said(self._come) or reason) if part)
            remedy = REMEDIES.get(code)
            if code in REFUSED and "model" in said.lower():  # by its name, in words of its own
                remedy = f"name one that it has: target.model=NAME, sent as {self._config.model_key!r}"
            raise ProtocolError(f"{said}; {remedy}" if remedy else said)
        text = self._config.format == "text"
        if code == 204 or not (text or self._come.strip()):
            raise ProtocolError(f"{code} {reason or 'OK'}: an empty answer, without a text; check {Settings.where}")
        if text:
            return (final(self._request, _plain(self._come)),)
        try:
            fields = json_object(self._come)
        except ProtocolError as error:
            raise ProtocolError(f"{error}; check {Settings.where}") from None
        if "text" not in fields and "error" in fields:
            raise ProtocolError(_said(self._come))
        words = timed(fields.get("words"), "word", "start")
        for segment in found if isinstance(found := fields.get("segments"), list) and not words else ():
            words += timed(segment.get("words"), "word", "start") if isinstance(segment, dict) else []
        return (final(self._request, text_of(fields, "text"), words, number(fields.get("duration")) or 0.0),)

    def _before(self) -> bytes:
        config = self._config
        told = {config.model_key: config.model, "response_format": config.format, "language": config.language}
        told |= {"timestamp_granularities[]": "word" if config.words else None} | config.fields
        body = b"".join(self._part(f'name="{key}"', value.encode()) for key, value in told.items() if value is not None)
        name = 'name="file"; filename="audio.wav"\r\nContent-Type: audio/wav'
        return body + self._part(name, wav_header(self._request.samples))[:-2]

    def _after(self) -> bytes:
        return f"\r\n--{self._boundary}--\r\n".encode()

    def _part(self, name: str, value: bytes) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + value + b"\r\n"


def _plain(body: bytes) -> str:
    """Some servers send the text as JSON."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith('"'):
        try:
            text = str(json.loads(text))
        except ValueError:
            pass
    return " ".join(text.split())


def _said(body: bytes) -> str:
    """An error, which comes as JSON of several shapes, as HTML or as text."""
    text = body.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(html.unescape(_TAG.sub(" ", text)).split())
    for key in ("detail", "error", "message", "msg"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def begin(config: Settings, request: TargetRequest) -> OpenAi:
    return OpenAi(config, request)
