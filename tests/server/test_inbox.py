"""A connection without a socket: any split of what is received gives the same messages."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from capsexp.server.inbox import AHEAD, CHUNK, Inbox
from capsexp.server.memory_budget import MB, MemoryBudget
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.websocket import WebSocketConnection
from tests.support import PATIENCE


class Transport(asyncio.Transport):
    """No socket: what is received is read as the protocol lets it, and what is sent is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.paused, self.closed = bytearray(), False, False

    def fileno(self) -> int:
        return -1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    close = abort


class NoServer:
    def __init__(self) -> None:
        self.held = MemoryBudget()
        self.throttle = ReceiveThrottle(1, self.held)
        self.departures: Any = None
        self.buffers = bytearray(CHUNK), bytearray(CHUNK)
        self.open_s = self.close_s = PATIENCE

    def answer(self, connection: WebSocketConnection, request: Any) -> Any:
        return connection.protocol.accept(request)

    def made(self, connection: WebSocketConnection) -> None:
        pass

    def opened(self, connection: WebSocketConnection) -> None:
        pass

    def ended(self, connection: WebSocketConnection) -> None:
        pass


def test_a_message_in_many_fragments_holds_no_more_than_it_counts() -> None:
    inbox, count = Inbox(), 20_000
    tracemalloc.start()
    try:
        inbox.put(Frame(Opcode.TEXT, b"", fin=False))
        for data in (b"", b"ab"):
            for _ in range(count):
                inbox.put(Frame(Opcode.CONT, data, fin=False))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inbox.size == 2 * count
    assert held < 4 * inbox.size
    inbox.put(Frame(Opcode.CONT, b"c", fin=True))
    assert inbox.pop() == "ab" * count + "c"
    assert inbox.size == 0


def test_a_request_is_not_read_a_few_bytes_at_a_time() -> None:
    async def work() -> int:
        connection = WebSocketConnection(NoServer(), ServerProtocol())
        connection.connection_made(Transport())
        return len(connection.get_buffer(-1))

    assert asyncio.run(work()) == AHEAD


@pytest.mark.parametrize("seed", range(20))
def test_any_split_of_request_and_messages_gives_the_same(seed: int) -> None:
    """Nor is more read than somebody waits for."""
    rng = random.Random(seed)
    client = ClientProtocol(parse_uri("ws://x"))
    client.send_request(client.connect())
    messages = ["é" * rng.choice([0, 1, 60, 8000, 40_000]) for _ in range(rng.randint(1, 6))]
    wire = b"".join(client.data_to_send())
    wire += b"".join(Frame(Opcode.TEXT, one.encode()).serialize(mask=True) for one in messages)

    async def work() -> list[str | bytes]:
        transport, host, at = Transport(), NoServer(), 0
        connection = WebSocketConnection(host, ServerProtocol(max_size=MB))
        connection.connection_made(transport)
        found: list[str | bytes] = []

        async def take() -> None:
            while len(found) < len(messages):
                found.append(await connection.receive())

        taking = asyncio.ensure_future(take())
        while at < len(wire):
            await asyncio.sleep(0)
            if transport.paused:
                assert not taking.done()
                continue
            into = connection.get_buffer(-1)
            size = min(len(into), rng.choice([1, 3, 100, CHUNK]), len(wire) - at)
            into[:size] = wire[at : at + size]
            at += size
            connection.buffer_updated(size)
        await taking
        assert transport.paused
        connection.connection_lost(None)
        assert host.held.total == 0
        assert transport.sent.startswith(b"HTTP/1.1 101 ")
        return found

    assert asyncio.run(asyncio.wait_for(work(), PATIENCE)) == messages
