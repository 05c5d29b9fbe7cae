"""Who may connect: a token where one is set, no web page, no more connections than were allowed for."""

from __future__ import annotations

import contextlib
import hmac
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from capsexp.config import ServerConfig
from capsexp.errors import ServerError

OTHER_FILES = 200  # descriptors for everything but connections: pipes to workers, logs, the library's own


class Guard:
    """`most`: connections that may be open at once."""

    def __init__(self, config: ServerConfig, most: int) -> None:
        self._token = config.token
        self._most = most
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


def connections_that_fit(wanted: int, warn: Callable[[str], None]) -> int:
    """Raise our limit of open files as far as the system lets us; how many of `wanted` connections then fit."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    fit = wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - OTHER_FILES))
    if fit < wanted:
        warn(
            f"server.max_connections={wanted}: only {soft} files may be open here, room for {fit} connections; "
            "raise the limit (ulimit -n) or lower server.max_connections"
        )
    return fit


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
