"""Clients that leave just when something else happens: nothing of them is kept, and nothing said of each."""

import asyncio
import gc
import random
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from capsexp.client.chaos_clients import RawWebSocket
from capsexp.client.request import ConnectionOptions
from capsexp.config import ServerConfig
from capsexp.server.gateway import Gateway
from capsexp.server.handshake_policy import HandshakePolicy
from capsexp.server.listener import bind
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.websocket import WebSocketConnection
from capsexp.server.websocket_server import WebSocketServer
from tests.support import PATIENCE, noise
from tests.support.fakes import FakeConnection, FakePool, message
from tests.support.sending import LOAD, send_file
from tests.support.servers import expected, server

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("leaves", ["before its request is looked at", "after"])
def test_who_leaves_right_after_its_request_is_not_counted_for_ever(leaves: str) -> None:
    """Each such client took a place of server.max_connections, until nobody was let in any more."""

    async def come_and_go() -> tuple[list[int], int]:
        policy = HandshakePolicy(ServerConfig(), 2, lambda kind, line: None)
        room: list[int] = []

        async def handle(connection: WebSocketConnection) -> None:
            room.append(policy.room())

        with bind("127.0.0.1", 0) as listener:
            held = MemoryBudget()
            server = WebSocketServer(handle, policy, ReceiveThrottle(2, held), held, 1000, 1.0)
            await server.start(listener)
            for _ in range(10):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                writer.write(REQUEST)
                if leaves == "after":
                    await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
            for _ in range(200):
                await asyncio.sleep(0.01)
                if policy.room() == 2:
                    break
            await server.close("over")
            return room, policy.room()

    room, afterwards = asyncio.run(come_and_go())
    assert afterwards == 2
    assert all(one < 2 for one in room)
    assert room or leaves != "after"


def test_who_leaves_just_as_it_takes_a_result_leaves_nothing() -> None:
    """asyncio.wait_for of Python 3.11 and older ends with the result then, and forgets the cancellation."""

    async def run() -> int:
        pool: Any = FakePool(random.Random(0))
        gateway, closed = Gateway(pool, "segment", 3, lambda *segment: None), asyncio.Event()

        class Leaving(FakeConnection):
            async def send(self, message: str) -> None:
                (session,) = gateway.handlers.values()
                asyncio.get_running_loop().call_soon(session.close)
                asyncio.get_running_loop().call_soon(closed.set)

            async def receive(self, at_once: bool = False) -> str | bytes:
                if not self.frames:  # one segment of it is delivered, and nothing more is there to be waited for
                    await asyncio.sleep(3600)
                return self.frames.popleft()

        connection = Leaving([message("t", 20)])
        serving = asyncio.create_task(gateway.handle(connection))
        await closed.wait()
        connection.leave()
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


@pytest.mark.parametrize("way", ["says goodbye", "is cut off in the middle of a message", "sends one that is none"])
def test_nothing_of_a_connection_that_is_over_waits_for_the_garbage_collector(way: str) -> None:
    """A thousand connections took 16 MB until it had run through all there is, and half a message 64 MB each."""

    async def come_and_go() -> list[Any]:
        pool, connections = FakePool(random.Random(1)), list[Any]()
        gateway = Gateway(pool, "segment", 3, lambda *segment: None)

        async def handle(connection: WebSocketConnection) -> None:
            connections.extend([weakref.ref(connection), weakref.ref(connection.protocol)])
            await gateway.handle(connection)

        with bind("127.0.0.1", 0) as listener:
            policy = HandshakePolicy(ServerConfig(), 9, lambda kind, line: None)
            server = WebSocketServer(handle, policy, ReceiveThrottle(2, gateway.held), gateway.held, 2**24, 1.0)
            await server.start(listener)
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            if way == "is cut off in the middle of a message":
                writer.write(b"\x81\xff" + (2**22).to_bytes(8, "big") + bytes(4) + b"x" * 2**20)
                await writer.drain()
                await asyncio.sleep(0.1)
            elif way == "sends one that is none":
                writer.write(Frame(Opcode.TEXT, b"{").serialize(mask=True))
                await reader.read(1)
            else:
                writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
            writer.close()
            for _ in range(200):
                await asyncio.sleep(0.01)
                if connections and not any(one() for one in connections):
                    break
            found = [one() for one in connections]
            await server.close("over")
            return found

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(come_and_go()) == [None, None]
    finally:
        gc.enable()
