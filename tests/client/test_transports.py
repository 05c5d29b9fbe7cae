"""The ways to a server: what a target says gets there, what comes back is handed on however it was split, and every end
is named."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from capsexp.client.load import run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.client.transports.tcp import Reader, Tcp
from capsexp.config import LoadConfig
from capsexp.protocol import ProtocolError, Result
from capsexp.targets import TARGETS, Partial, TargetConfig, TargetRequest, capswriter
from capsexp.targets.base import Event
from tests.support import PATIENCE, noise

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Posting(TargetConfig):
    transport: ClassVar[str] = "http"

    def at(self, url: str) -> str:
        return f"{url}/hear?x=1"


@dataclass
class Streaming(TargetConfig):
    transport: ClassVar[str] = "tcp"


class Talk:
    """Samples as they are; the answer, whole, is the text; a `~` in it is a text that may change."""

    def __init__(self, config: object, task: TargetRequest) -> None:
        self.task, self.got = task, b""

    def head(self) -> dict[str, str]:
        return {"Content-Length": str(4 * self.task.samples + 3)}

    def opening(self) -> Iterator[str]:
        yield "<"

    def audio(self, piece: np.ndarray, last: bool) -> Iterator[bytes]:
        yield piece.tobytes()

    def ending(self) -> Iterator[str]:
        yield "/>"

    def heard(self, frame: str | bytes) -> Sequence[Event]:
        assert isinstance(frame, bytes)
        self.got += frame
        return [Partial(self.got.decode())] * frame.count(b"~")

    def closed(self, code: int, reason: str) -> Sequence[Event]:
        if code == 400:
            raise ProtocolError(f"{reason}: {self.got.decode()}")
        return [Result(self.task.id, True, 0.0, 0.0, 0.0, 0.0, self.got.decode(), "")] if code in (0, 200) else []


def asked(
    monkeypatch: pytest.MonkeyPatch, kind: type[TargetConfig], serving: Serving, token: str = "", seconds: float = 2
) -> Request:
    monkeypatch.setattr(capswriter, "begin", Talk)
    request = Request(0, "t", "x", noise(seconds, 1))

    async def main() -> None:
        async with await asyncio.start_server(serving, "127.0.0.1", 0) as server:
            url = f"{'http' if kind is Posting else 'tcp'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            way = ConnectionOptions(token, target=kind(name="capswriter"))
            await run([request], url, LoadConfig(message_s=0.5, timeout=PATIENCE), way=way)

    asyncio.run(main())
    return request


BODY = b"<" + noise(2, 1).tobytes() + b"/>"


def answering(*answer: bytes, before: bool = False) -> Serving:
    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not before:
            got = await reader.readuntil(b"\r\n\r\n")
            assert got.startswith(b"POST /hear?x=1 HTTP/1.1\r\n") and b"Authorization: Bearer secret\r\n" in got
            assert await reader.readexactly(len(BODY)) == BODY
        for piece in answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.close()

    return serving


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        [OK + b"Content-Length: 5\r\n\r\na ~ b"],
        [OK[:9], OK[9:], b"Transfer-Encoding: chunked\r\n\r\n2\r\na ", b"\r\n3\r\n~ b\r\n0\r\n", b"\r\n"],
        [b"HTTP/1.1 102 Processing\r\n\r\n", OK + b"\r\na", b" ~ b"],  # its close is the end
    ],
)
def test_http_carries_the_body_and_the_answer(monkeypatch: pytest.MonkeyPatch, answer: list[bytes]) -> None:
    request = asked(monkeypatch, Posting, answering(*answer), "secret")
    assert request.ok and request.result is not None and request.result.text == "a ~ b", request.error
    assert (request.results, request.finals, request.partials) == (1, 1, 1)
    assert request.start is not None and request.sent is not None and request.start <= request.sent


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([b"HTTP/1.1 400 Bad\r\nContent-Length: 7\r\n\r\nno file"], "the server answered: Bad: no file"),
        ([b"HTTP/1.1 500 Oh\r\n\r\n"], "the connection ended (code 500: Oh) before the final result"),
        ([OK + b"Content-Length: 9\r\n\r\na b"], "closed before its answer was whole"),  # half of it
        ([b"220 mail ready\r\n"], "what answers there is not an HTTP server"),
        ([b""], "it closed without an answer: is it an HTTP server?"),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_every_end_of_http_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: list[bytes], said: str, before: bool
) -> None:
    """Also of one that answers before it has all of the body."""
    request = asked(monkeypatch, Posting, answering(*answer, before=before), "secret")
    assert request.error is not None and not request.ok
    if not before:
        assert said in request.error


def resetting(*answer: bytes) -> Serving:
    """It reads no further than the head, answers, and resets the connection, as a proxy does with what is too large."""

    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in answer:
            writer.write(piece)
            await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return serving


TOO_LARGE = b"HTTP/1.1 413 Too Large\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([TOO_LARGE + b"Content-Length: 4\r\n\r\n20 M"], "the connection ended (code 413: Too Large)"),
        ([TOO_LARGE, b"Connection: close\r\n\r\n20 M"], "the connection ended (code 413: Too Large)"),
        ([TOO_LARGE + b"Content-Length: 99\r\n\r\n20 M"], "the connection ended (code 413: Too Large)"),
        ([OK + b"Content-Length: 9\r\n\r\na b"], "broke off the connection"),  # half a text is none
        ([OK + b"Connection: close\r\n\r\na b"], "broke off the connection"),
        ([], "broke off the connection"),
    ],
)
def test_an_answer_that_came_before_a_reset_is_used(
    monkeypatch: pytest.MonkeyPatch, answer: list[bytes], said: str
) -> None:
    request = asked(monkeypatch, Posting, resetting(*answer), "secret", seconds=60.0)
    assert request.error is not None and said in request.error


def _refusing(listening: socket.socket) -> None:
    """In a thread of its own, so that nothing of it waits for the client."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(4096):
                    pass
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            # closed with most of the body unread, which resets the connection


def test_an_upload_that_is_refused_at_its_beginning_is_told_by_the_answer_each_time() -> None:
    target = TARGETS.settings("openai")(name="openai", model="m")  # type: ignore[call-arg]
    requests = [Request(n, "t", "x", noise(60, 1)) for n in range(20)]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_refusing, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        load = LoadConfig(timeout=PATIENCE, message_s=1, concurrency=1)
        asyncio.run(run(requests, url, load, way=ConnectionOptions(target=target)))
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
    assert {request.error for request in requests} == {
        "the server answered: 413 big; the upload is too large for it: leave the longest samples out"
    }


@pytest.mark.parametrize("there", ["", "http://127.0.0.1:9/v2", "/elsewhere"])
def test_http_that_sends_us_on_is_told_with_where_to(monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    field = f"Location: {there}\r\n" if there else ""
    answer = f"HTTP/1.1 307 Temporary Redirect\r\n{field}Content-Length: 0\r\n\r\n".encode()
    request = asked(monkeypatch, Posting, answering(answer), "secret")
    assert request.error is not None and f"redirects to {there or 'another address'} (307)" in request.error


def test_tcp_that_answers_before_a_reset_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may come in the same moment as the reset."""

    async def main() -> tuple[bytes, str]:
        reader = Reader()
        reader.feed_data(b"all")
        reader.set_exception(ConnectionResetError("gone"))
        stream = Tcp(reader, None)  # type: ignore[arg-type]
        heard = await stream.receive()
        with pytest.raises(ConnectionResetError) as told:
            await stream.receive()
        return heard, str(told.value)

    assert asyncio.run(main()) == (b"all", "gone")


def test_tcp_carries_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(BODY)) == BODY
        for letter in b"a~b":
            writer.write(bytes([letter]))
            await asyncio.sleep(0.01)
        writer.close()

    request = asked(monkeypatch, Streaming, serving)
    assert request.ok and request.result is not None and request.result.text == "a~b", request.error
    assert request.partials == 1


@pytest.mark.parametrize("kind", [Posting, Streaming])
def test_an_address_of_another_transport_is_none(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    for url in ("http://", "tcp://h", "127.0.0.1:x", "tcp://127.0.0.1:99999"):
        request = Request(0, "t", "x", noise(0.1, 1))
        monkeypatch.setattr(capswriter, "begin", Talk)
        asyncio.run(
            run([request], url, LoadConfig(timeout=PATIENCE), way=ConnectionOptions(target=kind(name="capswriter")))
        )
        assert request.error is not None and "HOST:PORT" in request.error
