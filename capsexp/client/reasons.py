"""Explains why a request failed in one line that says what to do, and tells failures of the client itself apart."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from capsexp.address import TRANSPORTS, is_secure, no_address
from capsexp.client.transports.base import OPEN, OPEN_S, ConnectionOptions, Ended, Garbled, Redirected
from capsexp.errors import HarnessError
from capsexp.protocol import ProtocolError

EARLY = "before the final result"  # the connection ended
TOO_BIG = 1009
OFFENDED = (1002, 1007, TOO_BIG)  # how we end a connection on which no WebSocket message came
LONGEST = 300  # characters of what a server says
# What this machine has no more of, whatever the server is like.
_OURS = {
    errno.EMFILE: "its limit of open files is reached (ulimit -n)",
    errno.ENFILE: "the system has no more files to open",
    errno.EADDRNOTAVAIL: "this machine has no free port left",
    errno.ENOBUFS: "the system has no more room for sockets",
    errno.ENOMEM: "the system has no more memory",
}
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def why(error: Exception, url: str, message_s: float, way: ConnectionOptions = OPEN) -> str:
    """What a request's user is told. Raises HarnessError for what is not the server's doing."""
    if isinstance(error, ProtocolError):
        return f"the server answered: {brief(str(error))}"
    if isinstance(error, Ended):
        return _ended(error, message_s, way)
    if isinstance(error, ConnectionClosed):
        return _closed(error)
    if isinstance(error, Redirected):
        return _elsewhere(url, error.there, error.status, way)
    if isinstance(error, InvalidStatus):
        return _refused(error, url, way)
    if isinstance(error, InvalidURI):
        return no_address(url, way.target.transport)
    if isinstance(error, (InvalidHandshake, Garbled)):
        return _stranger(error, url, way)
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return f"{url} did not answer within {OPEN_S:g} s: check server.url, and whether the server is overloaded"
    if isinstance(error, OSError):
        return _system(error, url, way)
    return brief(str(error)) or type(error).__name__


def unexplained(error: Exception) -> bool:
    """Whether all that `why` can say is that the connection ended too early."""
    if isinstance(error, ConnectionClosed):
        return error.sent is None or error.sent.code not in OFFENDED
    return isinstance(error, Ended) and error.code != TOO_BIG


CAUGHT = (ProtocolError, Ended, Redirected, Garbled, OSError, TimeoutError, asyncio.TimeoutError, WebSocketException)


def brief(text: str) -> str:
    """What somebody else wrote, on one line and not too long of it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."


def _ended(error: Ended, message_s: float, way: ConnectionOptions) -> str:
    reason = f": {brief(error.reason)}" if error.reason else ""
    code = f" (code {error.code}{reason})" if error.code else ""
    said = f"the connection ended{code} {EARLY}"
    if error.code == TOO_BIG and way.target.largest_frame is None:
        megabytes = message_s * 16_000 * 4 * 4 / 3 / 2**20
        said += f": its messages ({message_s:g} s of audio, {megabytes:.1f} MB) are too large; lower load.message_s"
    elif error.code == TOO_BIG:  # the target keeps to the largest message itself
        said += ": the audio is too long for the server; leave the longest samples out"
    return said


def _closed(error: ConnectionClosed) -> str:
    """Without a word, or by ourselves."""
    if error.sent is not None and not unexplained(error):
        said = brief(error.sent.reason) or "no reason given"
        return f"what the server sent is no WebSocket message ({error.sent.code}: {said})"
    return f"the connection ended (code 1006) {EARLY}"


def _stranger(error: Exception, url: str, way: ConnectionOptions) -> str:
    spoken = TRANSPORTS[way.target.transport]
    other = "" if is_secure(url) or not spoken.secure else f", or wants TLS ({spoken.secure}://)"
    said = f" ({brief(str(error))})" if isinstance(error, Garbled) else ""
    return f"{url}: what answers there is not {spoken.what}{said}{other}: check server.url"


def _elsewhere(url: str, there: str, status: int, way: ConnectionOptions) -> str:
    other = brief(there) or "another address"
    return f"{url} redirects to {other} ({status}): set {way.target.where} to the final address"


def _refused(error: InvalidStatus, url: str, way: ConnectionOptions) -> str:
    status = error.response.status_code
    said = brief((error.response.body or b"").decode("utf-8", "replace")) or "no reason given"
    if 300 <= status < 400:
        return _elsewhere(url, error.response.headers.get("Location", ""), status, way)
    if status in (401, 407):
        return f"{url} refused the connection ({status}): {said}; give its token as server.token=SECRET"
    if status == 403:
        return f"{url} refused the connection ({status}): {said}; is the token right, may this machine connect?"
    if status == 503 and way.own:
        raise HarnessError(
            f"the server is full ({said}): raise server.max_connections or send fewer (load.concurrency=N)"
        ) from None
    if status in (429, 503):
        return f"{url} refused the connection ({status}): {said}; send fewer (load.concurrency=N) or retry later"
    if status >= 500:
        return f"{url} refused the connection ({status}): {said}; see the server's own log"
    return f"{url} answers ({status}), but not as a WebSocket server: check host, port and path of server.url"


def _system(error: OSError, url: str, way: ConnectionOptions) -> str:
    host = urlsplit(url).hostname or url
    if isinstance(error, socket.gaierror):
        if error.errno in (getattr(socket, "EAI_SYSTEM", None), getattr(socket, "EAI_MEMORY", None)):
            raise HarnessError(f"the client cannot look up {host}: {error.strerror}") from None
        return f"{host}: no such host ({error.strerror}): check server.url"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{url}: its certificate is not trusted ({error.verify_message}); name it as server.certfile=PEM"
    # asyncio tells of several addresses in one text without a number of its own.
    numbers = {error.errno, *map(int, re.findall(r"\[Errno (\d+)\]", str(error)))}
    for number, what in _OURS.items():
        if number in numbers:
            raise HarnessError(
                f"the client can open no more connections: {what}; raise it, or send fewer at once (load.concurrency=N)"
            ) from None
    if isinstance(error, ConnectionRefusedError) or errno.ECONNREFUSED in numbers:
        return f"connection refused at {url}: is the server running?"
    if isinstance(error, ssl.SSLError) or (is_secure(url) and isinstance(error, ConnectionError)):
        way_of = TRANSPORTS[way.target.transport]
        return f"{url} does not speak TLS ({_first(error)}): is it {way_of.plain}:// instead of {way_of.secure}://?"
    if numbers & _UNREACHABLE:
        return f"{url} cannot be reached ({_first(error)}): check server.url and the network"
    if isinstance(error, ConnectionError):
        return f"{url} broke off the connection ({_first(error)}): see the server's own log"
    return f"{url}: {_first(error)}"


def _first(error: OSError) -> str:
    return brief(error.strerror or str(error)) or "it was broken off"
