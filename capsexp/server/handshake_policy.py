"""Who may connect: a token if one is set, no web pages, and no more connections than allowed."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs

from websockets.http11 import Request

from capsexp.config import ServerConfig
from capsexp.errors import ServerError
from capsexp.machine import open_files

OTHER_FILES = 200  # descriptors for all but connections: those that have asked for nothing yet, logs, libraries' own
WORKER_FILES = 8  # for each worker: pipes, and those of its start


class Applicant(Protocol):
    """A connection. Equal to itself alone."""

    lost: bool  # the client has left

    def __hash__(self) -> int: ...


class HandshakePolicy:
    """`most`: connections that may be open at once."""

    def __init__(self, config: ServerConfig, most: int, say: Callable[[str, str], None]) -> None:
        self._token, self._origins = config.token, config.origins
        self._most, self._say = most, say
        self._open: set[Applicant] = set()

    def admit(self, connection: Applicant, request: Request) -> tuple[HTTPStatus, str] | None:
        """HTTP status and text that refuse a handshake. None admits the connection, which counts as open until
        `left` is called; one that is closed already is not counted."""
        refused = self._refusal(request)
        if refused is None and not connection.lost:
            self._open.add(connection)
        return refused

    def room(self) -> int:
        """Connections that may still be let in."""
        return self._most - len(self._open)

    def left(self, connection: Applicant) -> None:
        self._open.discard(connection)

    def _refusal(self, request: Request) -> tuple[HTTPStatus, str] | None:
        origin = request.headers.get_all("Origin")
        if any(one not in self._origins for one in origin):
            # A web page that its user visits must not reach a server on their machine.
            self._say("origin", "a client with an Origin that is not in server.origins is refused (403)")
            return HTTPStatus.FORBIDDEN, (
                "Clients with an Origin header (web pages, some libraries) may not connect here: leave the header out, "
                "or start the server with its origin, server.origins=[https://example.org]\n"
            )
        if self._token is not None:
            try:
                said = _token(request)
            except ValueError as error:
                return HTTPStatus.BAD_REQUEST, f"{error}\n"
            if not hmac.compare_digest(said.encode(), self._token.encode()):
                return HTTPStatus.UNAUTHORIZED, "server.token is needed: Authorization: Bearer TOKEN\n"
        if self.room() <= 0:
            self._say("full", f"{self._most} connections are open (server.max_connections): others are refused (503)")
            return HTTPStatus.SERVICE_UNAVAILABLE, (
                f"{self._most} connections are open already, the most that this server takes "
                "(server.max_connections, and the limit of open files)\n"
            )
        return None


def _token(request: Request) -> str:
    """The token that a request gives, empty without one. Raises ValueError for several Authorization headers."""
    given = request.headers.get_all("Authorization")
    if len(given) > 1:
        raise ValueError("more than one Authorization header")
    scheme, _, said = given[0].strip().partition(" ") if given else ("", "", "")
    if scheme.lower() == "bearer" and said:
        return said.strip()
    if given:
        return given[0]
    # Not by urlsplit, which raises for a target such as /[.
    return (parse_qs(request.path.partition("?")[2]).get("token") or [""])[0]


def connections_that_fit(wanted: int, warn: Callable[[str], None], workers: int = 0) -> int:
    """Raise our limit of open files as far as the system lets us; how many of `wanted` connections then fit, beside
    what the workers need whenever one is started again."""
    others = OTHER_FILES + WORKER_FILES * workers
    files = open_files(wanted + others)
    fit = wanted if files is None else max(1, min(wanted, files - others))
    if fit < wanted:
        warn(
            f"server.max_connections={wanted}: only {files} files may be open here, room for {fit} connections; "
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
