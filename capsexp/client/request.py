"""One request: a sample sent to the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, cast

from websockets.exceptions import ConnectionClosed

from capsexp.address import no_address
from capsexp.client.connections import WATCH_S, Connections
from capsexp.client.reasons import CAUGHT, brief, unexplained, why
from capsexp.client.transports import OPEN, Connection, ConnectionOptions, Ended
from capsexp.config import LoadConfig
from capsexp.counts import counted
from capsexp.load import Turn
from capsexp.load.pacing import REALTIME, Lateness, packets
from capsexp.protocol import RATE, Audio, ProtocolError, Result
from capsexp.targets import TARGETS, Conversation, TargetRequest
from capsexp.targets.base import Event, Frame, Posted

__all__ = ["OPEN", "ConnectionOptions", "Request", "perform"]

BROKEN = (ConnectionClosed, ConnectionError)  # of a connection: what was received says why


class Moment(NamedTuple):
    """A packet of a request in real time was `sent`, or a `result` or a `partial` text came. `audio_s`: seconds
    of its audio up to which that reaches, None where not known; `due`: when that point was spoken; `at`: when it
    happened; `late_s`: seconds by which the client itself was late with a packet."""

    kind: str
    audio_s: float | None
    due: float | None
    at: float
    late_s: float | None = None


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
    heard_s: float = 0.0  # of its audio that results cover, as far as the target tells
    finals: int = 0
    foreign: int = 0  # results with another task's id
    stranger: str | None = None  # the first of these ids
    result: Result | None = None  # the last final one
    error: str | None = None
    unexplained: bool = False  # the connection ended, and no more is known
    turn: Turn = field(default_factory=Turn)
    due: float | None = None  # when it was to begin
    begun: float | None = None  # when the client took it up
    moments: list[Moment] = field(default_factory=list, repr=False)

    @property
    def spoken(self) -> bool:
        return self.turn.pacing == REALTIME

    @property
    def stop(self) -> float | None:
        """When its user stopped speaking, had everything been in time: its last packet was due."""
        return self.due + self.duration_s if self.spoken and self.due is not None else None

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
    way: ConnectionOptions = OPEN,
    on_end: Callable[[], None] = lambda: None,
    connections: Connections | None = None,
) -> None:
    """Send the sample in messages and take results until the final one; whatever the server does wrong ends up in
    `request.error`. `on_end` is called as soon as it is known what came of the request; the connection then stays for
    a moment (see _watch) and is closed. Where `connections` are kept, it is free for another request when this returns,
    and `on_end` is not called. Raises HarnessError, and what is a fault of ours."""
    connections = connections or Connections()
    target = way.target
    request.begun = time.monotonic()
    if request.due is None:
        request.due = request.begun
    try:
        told = TargetRequest(
            request.task_id, time.time(), load.seg_duration, load.seg_overlap, len(request.audio), request.spoken
        )
        talk = TARGETS.get(target.name).begin(target, told)
        head = cast(Posted, talk).head() if target.transport == "http" else {}
        async with connections.lend(target.transport, target.at(url), way, head) as lent:
            known = (lambda: None) if connections.keep else on_end
            ended = await _converse(request, lent.connection, talk, load, on_result, known)
            if connections.keep:
                lent.after = partial(_watch, request, lent.connection, talk, None)
            elif not ended:
                await _watch(request, lent.connection, talk, WATCH_S)
    except CAUGHT as error:
        if request.final is None or request.sent is None:  # what happens to the connection afterwards is no matter
            request.error = misdelivered(request, why(error, url, load.message_s, way))
            request.unexplained = unexplained(error)
    except (ValueError, OverflowError):
        if request.start is not None:
            raise
        request.error = no_address(url, target.transport)


def misdelivered(request: Request, reason: str) -> str:
    """Why it failed: that answers came under another id is the cause, whatever then happened to the connection."""
    if not request.foreign or request.results:
        return reason
    other, what = brief(request.stranger or "") or "an empty one", counted(request.foreign, "result")
    return f"the server sent {what} under another task_id ({other}); then {reason}"


async def _send(request: Request, connection: Connection, talk: Conversation, load: LoadConfig) -> None:
    """Frames are made only while they are sent: all at once they would hold five times the audio in memory."""
    assert request.due is not None
    size = max(1, round((load.packet_s if request.spoken else load.message_s) * RATE))
    late, whole = Lateness(), len(request.audio)
    await _pass(request, connection, talk.opening())
    for packet in packets(whole, size, RATE, request.turn.pacing):
        frames = talk.audio(request.audio[packet.start : packet.end], packet.end == whole)
        if packet.due_s is None:
            await _pass(request, connection, frames)
            continue
        due = request.due + packet.due_s
        await asyncio.sleep(due - time.monotonic())
        began = time.monotonic()
        await _pass(request, connection, frames)
        own = late.of(due, began, time.monotonic())
        request.moments.append(Moment("sent", packet.due_s, due, began, own))
    await _pass(request, connection, talk.ending())
    await connection.finish()
    request.sent = time.monotonic()


async def _pass(request: Request, connection: Connection, frames: Iterable[Frame]) -> None:
    for frame in frames:
        if request.start is None:
            request.start = time.monotonic()
        await connection.send(frame)


async def _converse(
    request: Request,
    connection: Connection,
    talk: Conversation,
    load: LoadConfig,
    on_result: Callable[[Request], None],
    on_end: Callable[[], None],
) -> bool:
    """Until all is sent and the final result is there; see `_receive`. What ends the one ends the other, so that
    nothing waits for what cannot come; where both failed it is what was received that says why."""
    sending = asyncio.create_task(_send(request, connection, talk, load))
    receiving = asyncio.create_task(_receive(request, connection, talk, on_result, on_end))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_EXCEPTION)
        broken = sending.exception() if sending.done() else None
        if broken is not None and not isinstance(broken, BROKEN):
            raise broken
        ended = await receiving
        await sending
        return ended
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
) -> bool:
    """Until the final result; whether that was the end of the connection, after which nothing can come."""
    ended = False
    while request.final is None:
        try:
            events = talk.heard(await connection.receive())
        except Ended as end:
            events = talk.closed(end.code, end.reason)
            if not any(isinstance(event, Result) and event.is_final for event in events):
                raise
            ended = True
        now = time.monotonic()
        for event in events:
            if not _counted(request, event):
                continue
            if request.spoken:
                request.moments.append(_heard(request, event, now))
            if isinstance(event, Result):
                request.first_result = request.first_result or now
                request.heard_s = max(request.heard_s, event.duration or 0.0)
                if event.is_final:
                    request.final, request.result = now, event
                    on_end()
            on_result(request)
    return ended


def _heard(request: Request, event: Event, now: float) -> Moment:
    if isinstance(event, Result) and event.duration and request.due is not None:
        return Moment("result", event.duration, request.due + event.duration, now)
    return Moment("result" if isinstance(event, Result) else "partial", None, None, now)


def _counted(request: Request, event: Event) -> bool:
    """Whether it is this request's."""
    if not isinstance(event, Result):
        request.partials += 1
        return True
    if event.task_id != request.task_id:
        request.foreign += 1
        request.stranger = request.stranger or event.task_id
        return False
    request.results += 1
    request.finals += event.is_final
    return True


async def _watch(request: Request, connection: Connection, talk: Conversation, seconds: float | None) -> None:
    """A second final message would be a fault of the server: give it so many seconds to show; None: until the next
    request takes the connection, which then counts it as another's. Nobody waits for this."""

    async def late() -> None:
        while True:
            for event in talk.heard(await connection.receive()):
                _counted(request, event)

    with contextlib.suppress(asyncio.TimeoutError, Ended, ProtocolError, *CAUGHT):
        await asyncio.wait_for(late(), seconds)
