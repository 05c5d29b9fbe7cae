"""Addresses of servers, by transport (WebSocket, HTTP, TCP). Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from capsexp.errors import ConfigError
from capsexp.protocol import in_url


@dataclass(frozen=True)
class Transport:
    """`what`: such a server; its schemes, plain and with TLS, and the ports that they stand for."""

    what: str
    plain: str
    secure: str | None
    ports: tuple[int, int] | None

    @property
    def schemes(self) -> tuple[str, ...]:
        return (self.plain, self.secure) if self.secure else (self.plain,)


TRANSPORTS = {
    "websocket": Transport("a WebSocket server", "ws", "wss", (80, 443)),
    "http": Transport("an HTTP server", "http", "https", (80, 443)),
    "tcp": Transport("a TCP server", "tcp", None, None),
}


def address(transport: str, host: str, port: int, secure: bool = False) -> str:
    """`host` may be an IPv6 address. `secure` counts where there is such a scheme."""
    way = TRANSPORTS[transport]
    scheme = way.secure if secure and way.secure else way.plain
    return f"{scheme}://{in_url(host)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_secure(url: str) -> bool:
    """Whether its scheme is one with TLS."""
    return any(way.secure is not None and url.startswith(f"{way.secure}:") for way in TRANSPORTS.values())


def port_in(url: str) -> int:
    """The port of an address, also where none is said; raises ValueError for what is no port."""
    parts = urlsplit(url)
    if parts.port is not None:
        return parts.port
    for way in TRANSPORTS.values():
        if way.ports and parts.scheme in way.schemes:
            return way.ports[way.schemes.index(parts.scheme)]
    raise ValueError("no port is given")


def is_address(url: str, transport: str = "websocket") -> bool:
    """Whether it is a whole one of such a server."""
    try:
        parts = urlsplit(url)
        return bool(parts.scheme in TRANSPORTS[transport].schemes and parts.hostname and port_in(url))
    except ValueError:  # of the port, or of brackets
        return False


def no_address(url: str, transport: str = "websocket") -> str:
    """What to say of an address that is none, or not whole."""
    way = TRANSPORTS[transport]
    why, meant = "", re.sub(r"^[\w.+-]*:?//", "", url)
    try:
        parts, bare = urlsplit(url), urlsplit(f"{way.plain}://{meant}")
        if parts.port == 0:
            why = " (port 0 cannot be used)"
        likely = parts.scheme not in way.schemes and bare.hostname and bare.port
    except ValueError as error:  # of the port, or of brackets
        why, likely = f" ({error})", None
    guess = f"; did you mean server.url={way.plain}://{meant}?" if likely else ""
    return f"{url!r} is not the address of {way.what}{why}: {whole(transport)}{guess}"


def whole(transport: str) -> str:
    """What an address has to look like."""
    way = TRANSPORTS[transport]
    tls = f", or {way.secure}://HOST:PORT for TLS" if way.secure else ""
    return f"give server.url={way.plain}://HOST:PORT, e.g. {way.plain}://127.0.0.1:6016{tls}"


def port_of(url: str) -> int:
    """The port of an address, also where none is said; raises ConfigError for what is no port."""
    try:
        return port_in(url)
    except ValueError:
        raise ConfigError(f"server.url: {no_address(url)}") from None


def is_socket(text: str) -> bool:
    """Whether it is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and (":" not in host or host[0] + host[-1] == "[]") and port.isdecimal() and 0 < int(port) < 65536
