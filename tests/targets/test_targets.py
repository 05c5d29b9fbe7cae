"""What is sent to a kind of server and what its messages mean: on values, and over a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from capsexp.client.load import run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.compose import compose
from capsexp.config import LoadConfig, resolve
from capsexp.errors import ConfigError
from capsexp.protocol import RATE, ProtocolError, Result, decode_audio, encode_error, encode_result
from capsexp.targets import TARGETS, Conversation, TargetRequest, capswriter
from capsexp.targets.base import Frame, Utf8
from tests.support import noise
from tests.support.settings import changed

TASK = TargetRequest("t", 1.5, 4.0, 1.0)


def utf8(frame: Frame) -> str:
    assert isinstance(frame, Utf8)
    return frame.data.decode()


def said(talk: Conversation, pieces: list[np.ndarray]) -> list[Frame]:
    frames = [*talk.opening()]
    for number, piece in enumerate(pieces):
        frames += talk.audio(piece, number == len(pieces) - 1)
    return [*frames, *talk.ending()]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=5), st.sampled_from(["with_data", "empty"]))
def test_capswriter_gets_all_audio_and_one_end(sizes: list[int], final: str) -> None:
    pieces = [np.random.default_rng(n).random(size).astype(np.float32) for n, size in enumerate(sizes)]
    told = [decode_audio(utf8(f)) for f in said(capswriter.begin(capswriter.Settings(final=final), TASK), pieces)]
    assert np.array_equal(np.concatenate([m.audio for m in told]), np.concatenate(pieces))
    assert [m.is_final for m in told] == [False] * (len(told) - 1) + [True]
    assert len(told) == len(pieces) + (final == "empty")
    assert final != "empty" or not len(told[-1].audio)
    assert {(m.task_id, m.time_start, m.seg_duration, m.seg_overlap) for m in told} == {("t", 1.5, 4.0, 1.0)}


def test_capswriters_answers_are_results_and_its_errors_are_errors() -> None:
    talk = capswriter.begin(capswriter.Settings(), TASK)
    result = Result("other", True, 2.0, 0.0, 0.0, 0.0, "a b", "a b", ["a", "b"], [0.1, 0.5])
    assert list(talk.heard(encode_result(result))) == [result]
    with pytest.raises(ProtocolError, match="no room"):
        talk.heard(encode_error("no room", "t"))
    assert not talk.closed(1000, "")  # before the final result: a failure


def test_a_target_is_chosen_and_checked() -> None:
    assert compose(["target.final=empty"]).target == capswriter.Settings(final="empty")
    with pytest.raises(ConfigError, match=r"^target\.final: unknown value 'emptied'; did you mean 'empty'\?$"):
        compose(["target.final=emptied"])
    with pytest.raises(ConfigError, match=r"^target: unknown target 'capswriterr'; did you mean 'capswriter'"):
        resolve(changed("target.name", "capswriterr"))
    older = changed("workers", 2)
    del older["target"]
    assert resolve(older).target == capswriter.Settings()  # of a time when there was one


class Plain:
    """A server's other way: raw audio, an end in words, pieces of text without a name, and its close is the end."""

    def __init__(self, config: object, task: TargetRequest) -> None:
        self.task, self.text = task, ""

    def opening(self) -> list[str]:
        return ["hello"]

    def audio(self, piece: np.ndarray, last: bool) -> list[bytes]:
        return [piece.astype("<f4").tobytes()]

    def ending(self) -> list[str]:
        return ["bye"]

    def heard(self, frame: str | bytes) -> list[Result]:
        self.text += str(frame)
        return [self._result(False)]

    def closed(self, code: int, reason: str) -> list[Result]:
        return [self._result(True)] if code == 1000 else []

    def _result(self, final: bool) -> Result:
        return Result(self.task.id, final, 0.0, 0.0, 0.0, 0.0, self.text, "")


@asynccontextmanager
async def listening(serving: Callable[[ServerConnection], object]) -> AsyncIterator[str]:
    async with serve(serving, "127.0.0.1", 0) as server:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def plain(connection: ServerConnection, code: int = 1000) -> None:
    assert await connection.recv() == "hello"
    while isinstance(frame := await connection.recv(), bytes):
        await connection.send(f"{len(frame) // 4 // RATE} ")
    assert frame == "bye"
    await connection.close(code)


@pytest.mark.parametrize(("code", "ok"), [(1000, True), (1011, False)])
def test_the_client_speaks_what_it_is_told_to(monkeypatch: pytest.MonkeyPatch, code: int, ok: bool) -> None:
    """Pieces that are appended and an end that is the server's close: nothing of CapsWriter's."""
    monkeypatch.setattr(capswriter, "begin", Plain)
    request = Request(0, "t", "x", noise(5, 1))

    async def talk() -> None:
        async with listening(lambda connection: plain(connection, code)) as url:
            await run(
                [request], url, LoadConfig(message_s=2, timeout=20), way=ConnectionOptions(target=capswriter.Settings())
            )

    asyncio.run(talk())
    assert request.ok == ok and request.sent is not None
    if ok:
        assert request.result is not None and request.result.text == "2 2 1 "
        assert (request.results, request.finals, request.foreign) == (4, 1, 0)
    else:
        assert request.error == "the connection ended (code 1011) before the final result"


def test_ours_are_a_file_each_and_our_server_speaks_one() -> None:
    assert TARGETS.ours() == ["capswriter", "funasr", "openai", "sherpa", "vosk", "wyoming"]
    assert [name for name in TARGETS.ours() if TARGETS.settings(name).local] == ["capswriter"]
