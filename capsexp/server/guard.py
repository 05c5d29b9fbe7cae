"""Who may connect: a token where one is set, no web page, no more connections than were allowed for."""

from __future__ import annotations

import contextlib
import hmac
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from capsexp.config import ServerConfig
from capsexp.errors import ServerError


class Guard:
    def __init__(self, config: ServerConfig) -> None:
        self._token = config.token
        self._most = config.max_connections
        self._open = 0

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer that refuses a connection before it is one; None lets it in."""
        if self._token is not None and not self._knows(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "server.token is needed: Authorization: Bearer TOKEN\n")
        if self._open >= self._most:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{self._most} connections are open already\n")
        return None

    def _knows(self, request: Request) -> bool:
        said = request.headers.get("Authorization", "").removeprefix("Bearer ")
        said = said or (parse_qs(urlsplit(request.path).query).get("token") or [""])[0]
        return hmac.compare_digest(said.encode(), (self._token or "").encode())

    @contextlib.asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """While a connection lasts."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def tls(config: ServerConfig) -> ssl.SSLContext | None:
    """The server's side of TLS, where a certificate is given; raises ServerError."""
    if config.certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.certfile, config.keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(f"server.certfile={config.certfile}: cannot be used: {error}") from None
    return context
