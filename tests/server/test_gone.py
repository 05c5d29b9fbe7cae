"""Clients that leave just when something else happens: nothing of them is kept, and nothing said of each."""

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.server import ServerProtocol

from capsexp.client.chaos_clients import RawWebSocket
from capsexp.client.request import ConnectionOptions
from capsexp.config import ServerConfig
from capsexp.server.connection import Bounded
from capsexp.server.gateway import Gateway
from capsexp.server.handshake_policy import HandshakePolicy
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.permit import Permit
from capsexp.server.receive_throttle import ReceiveThrottle
from tests.support import PATIENCE, noise
from tests.support.fakes import FakeConnection, FakePool, message
from tests.support.sending import LOAD, send_file
from tests.support.servers import expected, server

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
        guard = HandshakePolicy(ServerConfig(), 2, lambda kind, line: None)
        ours, theirs = socket.socketpair()
        with theirs:
            connection = Bounded(MemoryBudget(), guard.left, ServerProtocol(), NoServer())
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
        gateway, permit, closed = Gateway(pool, "segment", 3, lambda *segment: None), Permit(), asyncio.Event()

        class Leaving(FakeConnection):
            async def send(self, message: str) -> None:
                (session,) = gateway.handlers.values()
                asyncio.get_running_loop().call_soon(session.close)
                asyncio.get_running_loop().call_soon(closed.set)

            async def __aiter__(self) -> AsyncIterator[str | bytes]:
                yield self.frames[0]  # one segment of it is delivered, and nothing more is there to be waited for
                await asyncio.sleep(3600)

        connection = Leaving([message("t", 20)])
        serving = asyncio.create_task(gateway.handle(connection, permit))  # type: ignore[arg-type]
        await closed.wait()
        permit.leave()
        await serving
        await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_who_leaves_after_its_request_under_tls_is_no_fault_of_ours(certificate: Path) -> None:
    """Its transport has no socket any more when the request is looked at."""
    given = [f"server.certfile={certificate / 'cert.pem'}", f"server.keyfile={certificate / 'key.pem'}"]
    way = ConnectionOptions(certfile=str(certificate / "cert.pem"))
    with server("workers=1", "server.max_connections=5", *given) as (url, process):
        for _ in range(100):
            line = RawWebSocket(url, way)
            line.socket.sendall(REQUEST)
            line.socket.close()
        assert asyncio.run(send_file(url, way, 1, 3)) == expected(noise(3, 1), LOAD)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stdout is not None
        assert "internal error" not in process.stdout.read()


def test_a_permit_for_who_has_left_is_one() -> None:
    class Gone(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return object() if name == "sslcontext" else default

        def is_closing(self) -> bool:
            return False

    async def run() -> None:
        throttle = ReceiveThrottle(2)
        throttle.permit(Gone()).close()
        throttle.close()

    asyncio.run(run())
