"""One request: a sample sent through the server by one connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from capsexp.client.reasons import CAUGHT, OPEN_S, why
from capsexp.config import LoadConfig
from capsexp.errors import ConfigError
from capsexp.protocol import RATE, Audio, ProtocolError, Result, no_address
from capsexp.targets import TARGETS, Conversation, TargetConfig, Task
from capsexp.targets.base import Frame

WATCH_S = 0.1  # after a final result, for a second one to show


@dataclass(frozen=True)
class Way:
    """What a guarded server asks for: a token, and a certificate (PEM) that the system does not know. `own`: it was
    started for this load, so that having no room for it is the run's mistake and not the server's. `target`: what it
    speaks."""

    token: str | None = None
    certfile: str | None = None
    own: bool = False
    target: TargetConfig = field(default_factory=lambda: TARGETS.settings("capswriter")())

    def options(self, url: str) -> dict[str, Any]:
        """For websockets' connect; raises OSError for a certificate that cannot be read."""
        found: dict[str, Any] = {}
        if self.token:
            found["additional_headers"] = {"Authorization": f"Bearer {self.token}"}
        if url.startswith("wss:"):
            found["ssl"] = ssl.create_default_context(cafile=self.certfile)
        return found


OPEN = Way()


@dataclass
class Request:
    """What is sent and what came of it. Times are time.monotonic(); None where it was not reached."""

    number: int
    task_id: str
    sample: str
    audio: Audio = field(repr=False)
    start: float | None = None  # first byte sent
    sent: float | None = None  # last byte sent
    first_result: float | None = None
    final: float | None = None
    results: int = 0
    finals: int = 0
    foreign: int = 0  # results with another task's id
    result: Result | None = None  # the last final one
    error: str | None = None

    @property
    def duration_s(self) -> float:
        return len(self.audio) / RATE

    @property
    def ok(self) -> bool:
        return self.error is None and self.final is not None


async def perform(
    request: Request,
    url: str,
    load: LoadConfig,
    on_result: Callable[[Request], None],
    way: Way = OPEN,
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Send the sample in messages and take results until the final one; whatever the server does wrong ends up in
    `request.error`. `on_end` is called as soon as it is known what came of the request; the connection then stays for
    a moment (see _watch) and is closed. Raises HarnessError, and what is a fault of ours."""
    try:
        options = way.options(url)
    except OSError as error:
        raise ConfigError(f"server.certfile={way.certfile}: cannot be read: {error.strerror or error}") from None
    try:
        async with connect(
            url,
            subprotocols=[Subprotocol(name) for name in way.target.subprotocols] or None,
            compression=None,
            max_size=None,
            ping_interval=None,  # the server may hold the connection back for long
            open_timeout=OPEN_S,
            close_timeout=1,
            proxy=None,
            **options,
        ) as connection:
            task = Task(request.task_id, time.time(), load.seg_duration, load.seg_overlap)
            talk = TARGETS.get(way.target.name).begin(way.target, task)
            await _converse(request, connection, talk, load, on_result, on_end)
            await _watch(request, connection, talk)
    except CAUGHT as error:
        if request.final is None or request.sent is None:  # what happens to the connection afterwards is no matter
            request.error = why(error, url, load.message_s, way.own)
    except (ValueError, OverflowError):
        if request.start is not None:
            raise
        request.error = no_address(url)


def port_of(url: str) -> int:
    """The port of a WebSocket's address, also where none is said; raises ConfigError for what is no port."""
    parts = urlsplit(url)
    try:
        said = parts.port
    except ValueError:
        raise ConfigError(f"server.url: {no_address(url)}") from None
    return said or (443 if parts.scheme == "wss" else 80)


def _frames(request: Request, talk: Conversation, load: LoadConfig) -> Iterator[Frame]:
    """Made only while they are sent: encoding everything before the clock would hold five times the audio in memory."""
    size = max(1, round(load.message_s * RATE))
    starts = range(0, max(1, len(request.audio)), size)
    yield from talk.opening()
    for at in starts:
        yield from talk.audio(request.audio[at : at + size], at == starts[-1])
    yield from talk.ending()


async def _send(request: Request, connection: ClientConnection, talk: Conversation, load: LoadConfig) -> None:
    for frame in _frames(request, talk, load):
        if request.start is None:
            request.start = time.monotonic()
        await connection.send(frame)
    request.sent = time.monotonic()


async def _converse(
    request: Request,
    connection: ClientConnection,
    talk: Conversation,
    load: LoadConfig,
    on_result: Callable[[Request], None],
    on_end: Callable[[], None],
) -> None:
    """Until all is sent and the final result is there. What ends the one ends the other, so that nothing waits for
    what cannot come; where both failed it is what was received that says why."""
    sending = asyncio.create_task(_send(request, connection, talk, load))
    receiving = asyncio.create_task(_receive(request, connection, talk, on_result, on_end))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_EXCEPTION)
        broken = sending.exception() if sending.done() else None
        if broken is not None and not isinstance(broken, ConnectionClosed):
            raise broken
        await receiving
        await sending
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)  # what they raised was raised above


async def _receive(
    request: Request,
    connection: ClientConnection,
    talk: Conversation,
    on_result: Callable[[Request], None],
    on_end: Callable[[], None],
) -> None:
    while request.final is None:
        try:
            results = talk.heard(await connection.recv())
        except ConnectionClosed as error:
            results = talk.closed(error.rcvd.code, error.rcvd.reason) if error.rcvd else ()
            if not any(result.is_final for result in results):
                raise
        now = time.monotonic()
        for result in results:
            if not _counted(request, result):
                continue
            request.first_result = request.first_result or now
            if result.is_final:
                request.final, request.result = now, result
                on_end()
            on_result(request)


def _counted(request: Request, result: Result) -> bool:
    """Whether it is this request's."""
    if result.task_id != request.task_id:
        request.foreign += 1
        return False
    request.results += 1
    request.finals += result.is_final
    return True


async def _watch(request: Request, connection: ClientConnection, talk: Conversation) -> None:
    """A second final message would be a fault of the server: give it a moment to show. Nobody waits for this."""

    async def late() -> None:
        while True:
            for result in talk.heard(await connection.recv()):
                _counted(request, result)

    with contextlib.suppress(asyncio.TimeoutError, ConnectionClosed, ProtocolError):
        await asyncio.wait_for(late(), WATCH_S)
