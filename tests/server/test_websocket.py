"""A connection over sockets of its own, plain and TLS: what is read of it, and when; and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import select
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from capsexp.config import ServerConfig
from capsexp.server.connection import Disconnected
from capsexp.server.handshake_policy import HandshakePolicy, tls
from capsexp.server.inbox import AHEAD, SMALL
from capsexp.server.listener import bind
from capsexp.server.memory_budget import MB, MemoryBudget
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.tls import RECORD
from capsexp.server.websocket import WebSocketConnection
from capsexp.server.websocket_server import WebSocketServer
from tests.support import PATIENCE

LARGE = "x" * 2**20


class Served:
    """A server that hands each connection over, and does with it what a test says."""

    def __init__(self, url: str, context: ssl.SSLContext | None, held: MemoryBudget, throttle: ReceiveThrottle) -> None:
        self.url, self.context, self.held, self.throttle = url, context, held, throttle
        self.connections: list[WebSocketConnection] = []

    def client(self, **options: Any) -> connect:
        return connect(self.url, ssl=self.context, compression=None, max_size=None, **options)

    async def say(self, wire: bytes) -> ClientProtocol:
        """What a client has been told that sends these bytes behind its handshake, and takes no part in the end."""
        protocol = ClientProtocol(parse_uri(self.url))
        protocol.send_request(protocol.connect())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        writer.write(b"".join(protocol.data_to_send()) + wire)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                protocol.receive_data(data)
        writer.close()
        return protocol

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


Handle = Callable[[WebSocketConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(
    handle: Handle, folder: Path | None, places: int = 2, held_mb: float = 1024.0
) -> AsyncIterator[Served]:
    config, context = ServerConfig(), None
    if folder is not None:
        config = ServerConfig(certfile=str(folder / "cert.pem"), keyfile=str(folder / "key.pem"))
        context = ssl.create_default_context(cafile=config.certfile)
    held = MemoryBudget(held_mb)
    with bind("127.0.0.1", 0) as listener:
        throttle = ReceiveThrottle(places, held)
        scheme = "ws" if folder is None else "wss"
        one = Served(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", context, held, throttle)

        async def kept(connection: WebSocketConnection) -> None:
            one.connections.append(connection)
            await handle(connection)

        policy = HandshakePolicy(config, 1000, lambda kind, line: None)
        server = WebSocketServer(kept, policy, throttle, held, 4 * MB, 1.0, tls(config))
        await server.start(listener)
        try:
            yield one
        finally:
            await server.close("over")
    assert held.total == 0


@pytest.fixture(params=["plain", "tls"])
def folder(request: pytest.FixtureRequest) -> Path | None:
    return request.getfixturevalue("certificate") if request.param == "tls" else None


def perform(work: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, PATIENCE)

    asyncio.run(bounded())


async def seen(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_of_many_large_messages_as_many_come_in_as_have_a_place(folder: Path | None) -> None:
    """Of the others no more than the head, or where it is encrypted what holds it."""

    async def work() -> None:
        going, texts = asyncio.Event(), []

        async def handle(connection: WebSocketConnection) -> None:
            texts.append(await connection.receive())
            await going.wait()
            connection.done()
            with contextlib.suppress(Disconnected):
                await connection.receive()

        async with served(handle, folder) as server, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(server.client()) for _ in range(30)]
            sending = [asyncio.ensure_future(client.send(LARGE)) for client in clients]
            await seen(lambda: len(texts) == 2)
            await asyncio.sleep(0.3)
            assert len(texts) == 2
            most = 14 if folder is None else RECORD + AHEAD
            assert max(connection.unread for connection in server.connections) <= most
            assert 28 * 4 <= server.held.total <= 28 * most
            going.set()
            await asyncio.gather(*sending)
            await seen(lambda: len(texts) == 30)
            assert set(texts) == {LARGE}

    perform(work())


def test_small_messages_need_no_turn(folder: Path | None) -> None:
    async def work() -> None:
        over = asyncio.Event()

        async def handle(connection: WebSocketConnection) -> None:
            with contextlib.suppress(Disconnected):
                while True:
                    message = await connection.receive()
                    if len(message) > SMALL:
                        await over.wait()  # and its place is taken
                    await connection.send(str(message))

        async with served(handle, folder, places=1) as server, server.client() as large, server.client() as small:
            await large.send(LARGE)
            for number in range(100):
                await small.send(f"{number}" * 1000)
                assert await small.recv() == f"{number}" * 1000
            over.set()
            assert await large.recv() == LARGE

    perform(work())


def test_a_message_in_fragments_waits_for_its_turn_like_any_other(folder: Path | None) -> None:
    async def work() -> None:
        async def handle(connection: WebSocketConnection) -> None:
            with contextlib.suppress(Disconnected):
                while True:
                    await connection.send(str(await connection.receive()))

        async with served(handle, folder) as server, server.client() as client:
            await client.send([LARGE[:1000]] * 1000)
            assert await client.recv() == LARGE[:1000] * 1000
            await client.send(["a", "", "b"])
            assert await client.recv() == "ab"
            await client.send("")
            assert await client.recv() == ""

    perform(work())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([Frame(Opcode.TEXT, b"x" * (4 * MB + 1))], 1009),
        ([Frame(Opcode.TEXT, b"x" * 3 * MB, False), Frame(Opcode.CONT, b"x" * 3 * MB)], 1009),
        ([Frame(Opcode.TEXT, b"\xff\xfe")], 1007),
        ([Frame(Opcode.CONT, b"x")], 1002),
        ([Frame(Opcode.CLOSE, b"\x03\xe8")], 1000),
    ],
)
def test_what_is_no_message_ends_its_connection_with_a_reason(
    folder: Path | None, frames: list[Frame], code: int
) -> None:
    async def work() -> None:
        async def handle(connection: WebSocketConnection) -> None:
            with pytest.raises(Disconnected):
                await connection.receive()
            with pytest.raises(Disconnected):
                await connection.send("too late")

        async with served(handle, folder) as server:
            said = await server.say(b"".join(frame.serialize(mask=True) for frame in frames))
            assert said.close_rcvd is not None
            assert said.close_rcvd.code == code

    perform(work())


def test_who_sends_to_a_client_that_does_not_read_waits(folder: Path | None) -> None:
    async def work() -> None:
        sent = 0

        async def handle(connection: WebSocketConnection) -> None:
            nonlocal sent
            with contextlib.suppress(Disconnected):
                for _ in range(40):
                    await connection.send(LARGE)
                    sent += 1

        async with served(handle, folder) as server, server.client(max_queue=1) as client:
            await asyncio.sleep(0.5)
            assert sent < 20  # what the sockets hold
            for _ in range(40):
                assert len(await client.recv()) == len(LARGE)

    perform(work())


def test_a_goodbye_behind_a_large_message_is_waited_for_without_keeping_that(folder: Path | None) -> None:
    async def work() -> None:
        async def handle(connection: WebSocketConnection) -> None:
            await connection.receive()  # and then it ends, while the client sends on

        async def flood(client: ClientConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await client.send(LARGE)

        async with served(handle, folder) as server, server.client() as client:
            await flood(client)
            assert client.close_code == 1000
            assert server.connections[0].unread < 2 * MB

    perform(work())


@pytest.mark.parametrize("epoll", [True, False])
def test_a_client_that_leaves_while_nobody_reads_is_seen_at_once_or_when_it_is_read(
    folder: Path | None, epoll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if epoll and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")

    async def work() -> None:
        if not epoll:
            monkeypatch.delattr(select, "epoll", raising=False)
        left, read_on = asyncio.Event(), asyncio.Event()

        async def handle(connection: WebSocketConnection) -> None:
            connection.on_gone = left.set
            await connection.receive()
            await read_on.wait()
            with contextlib.suppress(Disconnected):
                while True:
                    await connection.receive()
            left.set()

        async with served(handle, folder) as server, server.client() as client:
            await client.send(LARGE)
            client.transport.write(Frame(Opcode.TEXT, b"x" * 1000).serialize(mask=True))
            await asyncio.sleep(0.1)
            client.transport.abort()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(left.wait(), PATIENCE if epoll else 0.2)
            assert left.is_set() == epoll
            read_on.set()
            await left.wait()

    perform(work())


def test_who_sends_most_of_too_much_is_turned_away(folder: Path | None) -> None:
    async def work() -> None:
        async def handle(connection: WebSocketConnection) -> None:
            with contextlib.suppress(Disconnected):
                await connection.receive()

        async with served(handle, folder, held_mb=1.0) as server:
            said = await server.say(Frame(Opcode.TEXT, b"x" * 3 * MB).serialize(mask=True)[: 2 * MB])
            assert said.close_rcvd is not None
            assert said.close_rcvd.code == 1013
            assert "server.max_held_mb" in said.close_rcvd.reason

    perform(work())


def test_a_client_that_vanishes_is_gone(folder: Path | None) -> None:
    async def work() -> None:
        ended = asyncio.Event()

        async def handle(connection: WebSocketConnection) -> None:
            with pytest.raises(Disconnected):
                await connection.receive()
            ended.set()

        async with served(handle, folder) as server, server.client() as client:
            client.transport.abort()
            await ended.wait()

    perform(work())


def test_what_is_no_tls_is_closed(certificate: Path) -> None:
    async def work() -> None:
        async def handle(connection: WebSocketConnection) -> None:
            await connection.send("good")

        async with served(handle, certificate) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            async with server.client() as client:
                assert await client.recv() == "good"

    perform(work())
