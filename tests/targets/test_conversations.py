"""What the kinds of servers answer, as recorded, and what it means: however it was split, wherever it ended."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError

from capsexp.client import connections
from capsexp.client.load import run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.client.transports import Ended
from capsexp.compose import compose
from capsexp.config import LoadConfig
from capsexp.errors import ConfigError
from capsexp.protocol import ProtocolError, Result
from capsexp.targets import TARGETS, Conversation, Partial, TargetRequest
from capsexp.targets._speech import joined, paired, pcm16
from capsexp.targets.base import Event, Posted
from tests.support import PATIENCE, noise

HEARD = "I tried to call you last night but there was no answer."


def begun(target: str, seconds: float = 0.5, **own: Any) -> Conversation:
    """A conversation that has said all."""
    audio = noise(seconds, 1)
    talk = TARGETS.get(target).begin(TARGETS.settings(target)(**own), TargetRequest("t", samples=len(audio)))
    for frames in (talk.opening(), talk.audio(audio, True), talk.ending()):
        list(frames)
    return talk


def text(event: Event) -> str | None:
    return event.text if isinstance(event, Result) and event.is_final else None


# As sherpa-onnx-offline-websocket-server 2.0.1 and sherpa-onnx' Python server answer.
SHERPA = (
    '{"lang": "", "emotion": "", "event": "", "text": "农民昨天", "timestamps": [0.26, 0.62, 0.94, 1.22], '
    '"durations": [], "tokens":["农", "民", "昨", "天"], "ys_log_probs": [], "words": []}'
)
# wyoming-faster-whisper 3.8.1, and the forms that others use: data in the line, a text in pieces.
WYOMING = (
    b'{"type": "transcript", "version": "1.10.2", "data_length": 68}\n'
    b'{"text": " I tried to call you last night but there was no answer."}'
)
INLINE = b'{"type": "info", "payload_length": 3}\nabc{"type": "transcript", "data": {"text": "a\xe5\xa5\xbd"}}\n'
CHUNKS = (
    b'{"type": "transcript-start"}\n{"type": "transcript-chunk", "data": {"text": "I "}}\n'
    b'{"type": "transcript-chunk", "data": {"text": "tried"}}\n{"type": "transcript", "data": {"text": "I tried"}}\n'
)
# faster-whisper-server 0.0.3; a word with its times as OpenAI's own and as faster-whisper give them; funasr-server's
# text is JSON, whisper.cpp's has line breaks.
SPOKEN = json.dumps({"text": f" {HEARD}"}).encode()
VERBOSE = json.dumps(
    {
        "task": "transcribe", "language": "en", "duration": 8.745, "text": f" {HEARD}",
        "segments": [{"id": 0, "text": HEARD, "words": [{"word": " I", "start": 0.1, "end": 0.2}, {"word": "x"}]}],
    }
).encode()  # fmt: skip


def test_sherpas_answers() -> None:
    (found,) = begun("sherpa").heard(SHERPA)
    assert isinstance(found, Result) and found.is_final and found.task_id == "t" and found.text == "农民昨天"
    assert (found.tokens, found.timestamps) == (["农", "民", "昨", "天"], [0.26, 0.62, 0.94, 1.22])
    for plain, meant in (("a b\n", "a b"), ("<EMPTY>", ""), ("{a", "{a"), ("3", "3"), ("", "")):
        assert [text(e) for e in begun("sherpa").heard(plain)] == [meant]
    for nonsense in (b"\0", '{"text": 3}'):
        with pytest.raises(ProtocolError):
            begun("sherpa").heard(nonsense)


@given(st.lists(st.integers(0, 700_000), max_size=3))
def test_sherpa_announces_exactly_what_it_sends(sizes: list[int]) -> None:
    """One byte more ends the C++ server; a frame above 1 MiB the Python one's connection."""
    task = TargetRequest("t", samples=sum(sizes))
    talk = TARGETS.get("sherpa").begin(TARGETS.settings("sherpa")(), task)
    (header,) = talk.opening()
    frames = [f for size in sizes for f in talk.audio(np.zeros(size, np.float32), False)] + [*talk.ending()]
    assert isinstance(header, bytes) and int.from_bytes(header[4:8], "little") == sum(map(len, frames))
    assert max(map(len, frames), default=0) <= 2**20


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(at)]


@given(st.sampled_from([WYOMING, INLINE, CHUNKS]), st.lists(st.integers(0, 400), max_size=6))
def test_wyomings_events_are_the_same_however_its_bytes_come(stream: bytes, cuts: list[int]) -> None:
    whole = list(begun("wyoming").heard(stream))
    talk = begun("wyoming")
    assert [event for part in split(stream, cuts) for event in talk.heard(part)] == whole
    assert text(whole[-1]) in (HEARD, "a好", "I tried")
    assert [e.text for e in whole[:-1] if isinstance(e, Partial)] == (["I", "I tried"] if stream is CHUNKS else [])


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (b'{"type": "error", "data": {"text": "no model", "code": "x"}}\n', "no model"),
        (b"HTTP/1.1 400 Bad Request\r\n", "'HTTP/1.1 400 Bad Request': that is HTTP: check server.url"),
        (b'{"type": "transcript"}\n', "without `text`"),
        (b'{"type": "x", "data_length": -1}\n', "unusual size"),
        (b'{"type": "x", "payload_length": 99999999999}\n', "unusual size"),
        (b"x" * (2**24 + 1), "without an end"),
    ],
)
def test_what_is_wrong_on_wyomings_stream_is_named(stream: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        begun("wyoming").heard(stream)


def posted(stream: bytes, status: int, cuts: list[int], **own: Any) -> Result:
    talk = begun("openai", **{"model": "m", **own})
    assert not [event for part in split(stream, cuts) for event in talk.heard(part)]
    (found,) = talk.closed(status, "Reason")
    assert isinstance(found, Result) and found.is_final
    return found


@given(st.lists(st.integers(0, 400), max_size=6))
def test_openais_answers_are_the_same_however_their_bytes_come(cuts: list[int]) -> None:
    assert posted(SPOKEN, 200, cuts).text == HEARD
    verbose = posted(VERBOSE, 200, cuts, format="verbose_json", words=True)
    assert (verbose.text, verbose.duration, verbose.tokens, verbose.timestamps) == (HEARD, 8.745, ["I"], [0.1])
    assert posted('"a\\n好"'.encode(), 200, cuts, format="text").text == "a 好"
    assert posted(b" a\n b\n", 200, cuts, format="text").text == "a b"
    assert posted(b'"a', 200, cuts, format="text").text == '"a'
    top = json.dumps({"text": "x", "words": [{"word": "x", "start": 1}], "duration": "long"}).encode()
    assert posted(top, 200, cuts).timestamps == [1.0]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, b'{"detail":{"error":{"message":"Unsupported response_format: text"}}}', "400 Unsupported response_fo"),
        (422, b'{"detail":[{"type":"float_parsing","msg":"not a number","input":"hot"}]}', "422 not a number"),
        (404, b'{"detail":"Not Found"}', "404 Not Found; check target.path and target.model"),
        (401, b'{"error": {"message": "Incorrect API key"}}', "401 Incorrect API key; give its key as server.token"),
        (
            404,
            b'{"error": {"message": "The model `whisper-1` does not exist."}}',
            "404 The model `whisper-1` does not exist.; name one that it has: target.model=NAME, sent as 'model'",
        ),
        (400, b"unknown model", "400 unknown model; name one that it has: target.model=NAME, sent as 'model'"),
        (
            413,
            b"<html><h1>413 Request&nbsp;Entity Too Large</h1></html>",
            "413 413 Request Entity Too Large; the",
        ),
        (426, b"", "426 Reason; that is a WebSocket server: check server.url"),
        (500, b"", "500 Reason"),
        (500, b'{"code": 7}', '500 {"code": 7}'),
        (200, b"<html>hello", "no JSON: '<html>hello'; check server.url and target.path"),
        (200, b"", "200 Reason: an empty answer, without a text; check server.url and target.path"),
        (204, b"", "204 Reason: an empty answer, without a text; check server.url and target.path"),
        (200, b"[1]", "no JSON object"),
        (200, b'{"error": "out of memory"}', "out of memory"),
        (200, b'{"txt": "a"}', "without `text`"),
    ],
)
def test_what_is_wrong_over_http_is_named(status: int, body: bytes, says: str) -> None:
    with pytest.raises(ProtocolError) as told:
        posted(body, status, [])
    assert says in str(told.value)


def test_the_form_is_one_that_everybody_can_read() -> None:
    settings = TARGETS.settings("openai")(
        model="好", model_key="model_name", format="verbose_json", words=True, fields={"temperature": "0"}
    )  # type: ignore[call-arg]
    audio = np.round(noise(0.5, 1) * 32768) / 32768
    talk = TARGETS.get("openai").begin(settings, TargetRequest("t", samples=len(audio)))
    assert isinstance(talk, Posted)
    head = talk.head()
    frames = [*talk.opening(), *talk.audio(audio[:99], False), *talk.audio(audio[99:], True), *talk.ending()]
    body = b"".join(f for f in frames if not isinstance(f, str))
    assert head["Content-Length"] == str(len(body))
    form = message_from_bytes(f"Content-Type: {head['Content-Type']}\r\n\r\n".encode() + body)
    found: dict[str | None, bytes] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found[str(part.get_param("name", header="content-disposition"))] = content
    wav = found.pop("file")
    assert {k: v.decode() for k, v in found.items()} == {
        "model_name": "好", "response_format": "verbose_json", "timestamp_granularities[]": "word", "temperature": "0",
    }  # fmt: skip
    read, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == 16_000 and np.array_equal(read, audio)
    assert settings.at("http://h:1/") == "http://h:1/v1/audio/transcriptions"


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_audio_of_16_bits_comes_out_as_it_was(samples: list[int]) -> None:
    exact = np.array(samples, np.int16)
    assert pcm16(exact.astype(np.float32) / 32768) == exact.astype("<i2").tobytes()
    assert pcm16(exact.astype("<i2")) == exact.astype("<i2").tobytes()  # as the client has made it, for all requests
    assert len(pcm16(np.array([2.0, -2.0], np.float32))) == 4


def test_small_things() -> None:
    assert joined(["a", "", "b", "好", "c", "好"]) == "a b好c好"
    assert paired(["a"], [1, 2]) == paired("a", [1]) == [] and paired(["a", "b"], [True, 2000], 0.001) == [("b", 2.0)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["target=openai"], "target.model: the server has to be told a model"),
        (["target=openai", "target.model=m", "target.format=srt"], "target.format: unknown value 'srt'"),
        (["target=openai", "target.model=m", "target.words=true"], "target.words: only"),
        (["target=openai", "target.model=m", "target.path=v1"], "target.path: 'v1' is no path"),
        (["target=funasr", "target.mode=onlin"], "target.mode: unknown value 'onlin'; did you mean 'online'?"),
        (["target=funasr", "target.chunk_size=[5]"], "target.chunk_size: "),
        (["target=vosk", "target.frame_s=0"], "target.frame_s: "),
        (["target=sherpa", "server=local"], "target=sherpa: our own server does not speak it"),
        (["target=wyoming", "server.url=ws://h:1"], "is not the address of a TCP server"),
        (["target=openai", "target.model=m", "server.url=null"], "server.url=http://HOST:PORT"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_starts(line: list[str], says: str) -> None:
    kind = "openai" if "target=openai" in line else line[0][7:]
    scheme = {"openai": "http", "wyoming": "tcp"}.get(kind, "ws")
    with pytest.raises(ConfigError) as told:
        compose(["server=external", f"server.url={scheme}://h:1", *line])
    assert says in str(told.value) and "\n" not in str(told.value)


# Whole answers of each kind; the last frame is what a final result needs.
EXCHANGES: list[tuple[str, dict[str, Any], list[str | bytes], int]] = [
    ("sherpa", {}, [SHERPA], 1000),
    ("wyoming", {}, [WYOMING[:20], WYOMING[20:]], 0),
    ("openai", {"model": "m"}, [SPOKEN[:9], SPOKEN[9:]], 200),
    ("funasr", {}, ['{"text": "a", "is_final": true}', '{"text": "b", "is_final": true}', '{"is_end": true}'], 1000),
    ("vosk", {}, ['{"partial": "a"}', '{"text": "a"}', '{"text": "b"}'], 1000),  # of two frames, and the end
]


@given(st.sampled_from(EXCHANGES), st.integers(0, 4), st.booleans())
def test_a_close_at_any_point_is_a_final_result_or_an_error(
    exchange: tuple[str, dict[str, Any], list[str | bytes], int], many: int, in_order: bool
) -> None:
    """And never half a text, or silence."""
    target, own, frames, code = exchange
    given_up = frames[:many]

    class Line:
        def __init__(self) -> None:
            self.left, self.sent = list(given_up), asyncio.Event()

        async def send(self, frame: str | bytes) -> None:
            pass

        async def finish(self) -> None:
            self.sent.set()

        async def receive(self) -> str | bytes:
            await self.sent.wait()
            if self.left:
                return self.left.pop(0)
            raise Ended(code) if in_order else ConnectionClosedError(None, None)

    @asynccontextmanager
    async def opened(
        transport: str, url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool
    ) -> AsyncIterator[Line]:
        yield Line()

    request = Request(0, "t", "x", noise(0.5, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "opened", opened)
        way = ConnectionOptions(target=TARGETS.settings(target)(**own))
        asyncio.run(run([request], "", LoadConfig(timeout=PATIENCE), way=way))
    whole = len(given_up) == len(frames) and (in_order or target != "openai")
    assert (request.ok, request.error is None) == (whole, whole)
    if whole:
        assert request.result is not None and request.result.text in ("农民昨天", HEARD, "a b")
