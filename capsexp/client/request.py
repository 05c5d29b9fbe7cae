"""One request: a sample sent through the server by one connection of its own."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from capsexp.config import LoadConfig
from capsexp.protocol import RATE, SUBPROTOCOL, Audio, AudioMessage, ProtocolError, Result, decode_result, encode_audio


@dataclass(frozen=True)
class Way:
    """What a guarded server asks for: a token, and a certificate (PEM) that the system does not know."""

    token: str | None = None
    certfile: str | None = None

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
    request: Request, url: str, load: LoadConfig, on_result: Callable[[Request], None], way: Way = OPEN
) -> None:
    """Send the sample in messages and take results until the final one; every failure ends up in `request.error`."""
    try:
        async with connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            ping_interval=None,  # the server may hold the connection back for long
            open_timeout=30,
            close_timeout=1,
            proxy=None,
            **way.options(url),
        ) as connection:
            sender = asyncio.create_task(_send(request, connection, load))
            try:
                await _receive(request, connection, on_result)
                await sender
            finally:
                sender.cancel()
    except ProtocolError as error:
        request.error = f"the server answered: {error}"
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else 1006
        request.error = f"the connection ended (code {code}) before the final result"
    except InvalidStatus as error:
        said = (error.response.body or b"").decode("utf-8", "replace").strip()
        request.error = f"{url} refused the connection ({error.response.status_code}): {said or 'no reason given'}"
    except ConnectionRefusedError:
        request.error = f"connection refused at {url}: is the server running?"
    except (OSError, TimeoutError, asyncio.TimeoutError, WebSocketException) as error:
        request.error = str(error).splitlines()[0] if str(error) else type(error).__name__


def port_of(url: str) -> int:
    """The port of a WebSocket's address, also where none is said."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "wss" else 80)


async def _send(request: Request, connection: ClientConnection, load: LoadConfig) -> None:
    size = max(1, round(load.message_s * RATE))
    epoch = time.time()
    starts = range(0, max(1, len(request.audio)), size)
    for at in starts:
        # Encoded only now: encoding everything before the clock would hold five times the audio in memory.
        frame = encode_audio(
            AudioMessage(
                request.task_id,
                np.asarray(request.audio[at : at + size]),
                is_final=at == starts[-1],
                source="file",
                time_start=epoch,
                seg_duration=load.seg_duration,
                seg_overlap=load.seg_overlap,
            )
        )
        if request.start is None:
            request.start = time.monotonic()
        await connection.send(frame)
    request.sent = time.monotonic()


async def _receive(request: Request, connection: ClientConnection, on_result: Callable[[Request], None]) -> None:
    async for frame in connection:
        result = decode_result(frame)
        now = time.monotonic()
        if result.task_id != request.task_id:
            request.foreign += 1
            continue
        request.results += 1
        request.first_result = request.first_result or now
        if result.is_final:
            request.finals += 1
            request.final, request.result = now, result
        on_result(request)
        if result.is_final:
            break
    else:
        raise ConnectionClosed(None, None)
    # A second final message would be a fault of the server: give it a moment to show.
    try:
        while True:
            late = decode_result(await asyncio.wait_for(connection.recv(), 0.02))
            if late.task_id != request.task_id:
                request.foreign += 1
            else:
                request.results += 1
                request.finals += late.is_final
    except (asyncio.TimeoutError, ConnectionClosed, ProtocolError):
        pass
