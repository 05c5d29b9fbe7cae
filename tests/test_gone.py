"""Clients that leave just when something else happens: nothing of them is kept."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from test_fuzz import FakeConnection, FakePool, message
from websockets.server import ServerProtocol

from capsexp.config import ServerConfig
from capsexp.server.connection import Bounded
from capsexp.server.doorman import Door
from capsexp.server.front import Front
from capsexp.server.guard import Guard
from capsexp.server.held import Held

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class NoServer:
    def start_connection_handler(self, connection: Bounded) -> None:
        """The test looks at the request when it wants to."""


@pytest.mark.parametrize("leaves", ["before its request is looked at", "after"])
def test_who_leaves_right_after_its_request_is_not_counted_for_ever(leaves: str) -> None:
    """Each such client took a place of server.max_connections, until nobody was let in any more."""

    async def come_and_go() -> int:
        guard = Guard(ServerConfig(), 2, lambda kind, line: None)
        ours, theirs = socket.socketpair()
        with theirs:
            connection = Bounded(Held(), guard.left, ServerProtocol(), NoServer())
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
            theirs.sendall(REQUEST)
            await connection.request_rcvd
            if leaves == "after":
                assert guard.admit(connection, connection.request) is None  # type: ignore[arg-type]
                assert guard.room() == 1
            connection.transport.abort()
            await connection.connection_lost_waiter
            if leaves != "after":
                assert guard.admit(connection, connection.request) is None  # type: ignore[arg-type]
            return guard.room()

    assert asyncio.run(come_and_go()) == 2


def test_who_leaves_just_as_it_takes_a_result_leaves_nothing() -> None:
    """asyncio.wait_for of Python 3.11 and older ends with the result then, and forgets the cancellation."""

    async def run() -> int:
        pool: Any = FakePool(random.Random(0))
        front, door, closed = Front(pool, "segment", 3, lambda *segment: None), Door(), asyncio.Event()

        class Leaving(FakeConnection):
            async def send(self, message: str) -> None:
                (session,) = front.sessions.values()
                asyncio.get_running_loop().call_soon(session.close)
                asyncio.get_running_loop().call_soon(closed.set)

            async def __aiter__(self) -> AsyncIterator[str | bytes]:
                yield self.frames[0]  # one segment of it is delivered, and nothing more is there to be waited for
                await asyncio.sleep(3600)

        connection = Leaving([message("t", 20)])
        serving = asyncio.create_task(front.handle(connection, door))  # type: ignore[arg-type]
        await closed.wait()
        door.leave()
        await serving
        await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
