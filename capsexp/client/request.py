"""One request: a sample sent through the server by one connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from capsexp.address import no_address, port_in
from capsexp.client.reasons import CAUGHT, why
from capsexp.client.transports import OPEN, Connection, Ended, Way, opened
from capsexp.config import LoadConfig
from capsexp.errors import ConfigError
from capsexp.protocol import RATE, Audio, ProtocolError, Result
from capsexp.targets import TARGETS, Conversation, Task
from capsexp.targets.base import Event, Frame, Posted

__all__ = ["OPEN", "Request", "Way", "perform", "port_of"]

WATCH_S = 0.1  # after a final result, for a second one to show
BROKEN = (ConnectionClosed, ConnectionError)  # of a connection: what was received says why


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
    partials: int = 0  # texts that could still change
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
    target = way.target
    try:
        task = Task(request.task_id, time.time(), load.seg_duration, load.seg_overlap, len(request.audio))
        talk = TARGETS.get(target.name).begin(target, task)
        head = talk.head() if isinstance(talk, Posted) else {}
        async with opened(target.transport, target.at(url), way, head) as connection:
            await _converse(request, connection, talk, load, on_result, on_end)
            await _watch(request, connection, talk)
    except CAUGHT as error:
        if request.final is None or request.sent is None:  # what happens to the connection afterwards is no matter
            request.error = why(error, url, load.message_s, way)
    except (ValueError, OverflowError):
        if request.start is not None:
            raise
        request.error = no_address(url, target.transport)


def port_of(url: str) -> int:
    """The port of an address, also where none is said; raises ConfigError for what is no port."""
    try:
        return port_in(url)
    except ValueError:
        raise ConfigError(f"server.url: {no_address(url)}") from None


def _frames(request: Request, talk: Conversation, load: LoadConfig) -> Iterator[Frame]:
    """Made only while they are sent: encoding everything before the clock would hold five times the audio in memory."""
    size = max(1, round(load.message_s * RATE))
    starts = range(0, max(1, len(request.audio)), size)
    yield from talk.opening()
    for at in starts:
        yield from talk.audio(request.audio[at : at + size], at == starts[-1])
    yield from talk.ending()


async def _send(request: Request, connection: Connection, talk: Conversation, load: LoadConfig) -> None:
    for frame in _frames(request, talk, load):
        if request.start is None:
            request.start = time.monotonic()
        await connection.send(frame)
    await connection.finish()
    request.sent = time.monotonic()


async def _converse(
    request: Request,
    connection: Connection,
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
        if broken is not None and not isinstance(broken, BROKEN):
            raise broken
        await receiving
        await sending
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)  # what they raised was raised above


async def _receive(
    request: Request,
    connection: Connection,
    talk: Conversation,
    on_result: Callable[[Request], None],
    on_end: Callable[[], None],
) -> None:
    while request.final is None:
        try:
            events = talk.heard(await connection.receive())
        except Ended as end:
            events = talk.closed(end.code, end.reason)
            if not any(isinstance(event, Result) and event.is_final for event in events):
                raise
        now = time.monotonic()
        for event in events:
            if not _counted(request, event):
                continue
            if isinstance(event, Result):
                request.first_result = request.first_result or now
                if event.is_final:
                    request.final, request.result = now, event
                    on_end()
            on_result(request)


def _counted(request: Request, event: Event) -> bool:
    """Whether it is this request's."""
    if not isinstance(event, Result):
        request.partials += 1
        return True
    if event.task_id != request.task_id:
        request.foreign += 1
        return False
    request.results += 1
    request.finals += event.is_final
    return True


async def _watch(request: Request, connection: Connection, talk: Conversation) -> None:
    """A second final message would be a fault of the server: give it a moment to show. Nobody waits for this."""

    async def late() -> None:
        while True:
            for event in talk.heard(await connection.receive()):
                _counted(request, event)

    with contextlib.suppress(asyncio.TimeoutError, Ended, ProtocolError, *CAUGHT):
        await asyncio.wait_for(late(), WATCH_S)
