"""Accepts connections, and runs a handler for each that may be one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from capsexp.protocol import SUBPROTOCOL
from capsexp.server.delivery import internal
from capsexp.server.departures import Departures
from capsexp.server.handshake_policy import HandshakePolicy
from capsexp.server.inbox import CHUNK
from capsexp.server.listener import OPEN_S, Listener
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.tls import RECORD, Tls
from capsexp.server.websocket import WebSocketConnection


class WebSocketServer:
    """`max_message`: bytes (a larger one ends its connection with 1009); `close_s`: for a client to say goodbye. No
    compression is agreed on, as float audio does not compress and the attempt costs five times the throughput; no pings
    are sent, as a connection that back-pressure holds is slow, not dead."""

    open_s = OPEN_S

    def __init__(
        self,
        handle: Callable[[WebSocketConnection], Awaitable[None]],
        policy: HandshakePolicy,
        throttle: ReceiveThrottle,
        held: MemoryBudget,
        max_message: int,
        close_s: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.throttle, self.held, self.close_s = throttle, held, close_s
        self.departures = Departures()
        self.buffers = bytearray(CHUNK), bytearray(CHUNK + RECORD)  # nothing stays in them from one call to the next
        self._handle, self._policy, self._max_message, self._context = handle, policy, max_message, context
        self._connections: set[WebSocketConnection] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._closing = ""  # why

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._server = await asyncio.get_running_loop().create_server(
            self._connection,
            sock=listener,
            backlog=1,  # accepted at a time: one that is closed for room is closed before the next comes
        )

    async def close(self, reason: str) -> None:
        """Accept nobody any more, and say goodbye to everybody; returns when all handlers have."""
        self._closing = reason
        self._server.close()
        await asyncio.gather(*(one.close(1001, reason) for one in list(self._connections)))
        if self._handlers:
            await asyncio.wait(self._handlers)
        self.throttle.close()
        self.departures.close()

    def answer(self, connection: WebSocketConnection, request: Request) -> Response:
        protocol = connection.protocol
        try:
            self._listener.asked(connection.descriptor)
            if self._closing:
                return protocol.reject(HTTPStatus.SERVICE_UNAVAILABLE, f"{self._closing}\n")
            refused = self._policy.admit(connection, request)
            return protocol.accept(request) if refused is None else protocol.reject(*refused)
        except Exception as error:
            internal("a request", error)
            return protocol.reject(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error\n")

    def made(self, connection: WebSocketConnection) -> None:
        if self._closing:  # it was accepted right before
            connection.drop()
        else:
            self._connections.add(connection)

    def opened(self, connection: WebSocketConnection) -> None:
        _keep_alive(connection.transport)
        self.departures.watch(connection.descriptor, connection.leave)
        handler = asyncio.get_running_loop().create_task(self._serve(connection))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    def ended(self, connection: WebSocketConnection) -> None:
        self.departures.forget(connection.descriptor)
        self._policy.left(connection)
        self._connections.discard(connection)

    async def _serve(self, connection: WebSocketConnection) -> None:
        code, reason = 1000, ""
        try:
            await self._handle(connection)
        except Exception as error:
            internal("a connection", error)
            code, reason = 1011, "internal error"
        await connection.close(code, reason)

    def _connection(self) -> WebSocketConnection:
        protocol = _Protocol(max_size=self._max_message)
        return WebSocketConnection(self, protocol, Tls(self._context) if self._context is not None else None)


class _Protocol(ServerProtocol):
    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None


def _keep_alive(transport: asyncio.Transport) -> None:
    """A client whose machine or network is gone says nothing: have the kernel ask, and end the connection after two
    minutes without an answer."""
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
