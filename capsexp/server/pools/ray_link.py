"""A connection between the gateway and an agent on a node. Both sides prove that they know the run's secret before
either believes or unpickles anything of the other:

    gateway -> agent    MAGIC, 32 random bytes A
    agent   -> gateway  32 random bytes B, the length of its header (4 bytes), the header (JSON),
                        HMAC-SHA256(secret, "agent" A B header)
    gateway -> agent    HMAC-SHA256(secret, "gateway" A B header)

What follows is neither encrypted nor signed: the network between nodes has to be one that nobody else writes to, as Ray
itself demands.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import threading
import time
from typing import Any

from capsexp.errors import ServerError
from capsexp.pipes import Connection

MAGIC = b"capsexp node 1\r\n"
NONCE = MAC = 32  # bytes
HEADER = 65536  # bytes, at most
SHAKE_S = 5.0  # for the whole handshake
MESSAGE = 4 * 2**20  # bytes of a message on a control link, at most


class Stranger(ServerError):
    """Somebody who does not know the secret, or who speaks something else."""


class HungUp(Stranger, ConnectionError):
    """The other side closed the connection during the handshake, as the gateway does when too many dial at once."""


def accept(sock: socket.socket, secret: bytes) -> dict[str, Any]:
    """The gateway's side; returns the agent's header. Raises Stranger, OSError."""
    until = time.monotonic() + SHAKE_S
    ours = secrets.token_bytes(NONCE)
    _send(sock, MAGIC + ours, until)
    theirs = _read(sock, NONCE, until)
    length = int.from_bytes(_read(sock, 4, until), "big")
    if length > HEADER:
        raise Stranger("a header of that length is none of an agent's")
    header = _read(sock, length, until)
    if not hmac.compare_digest(_read(sock, MAC, until), _mac(secret, b"agent", ours, theirs, header)):
        raise Stranger("does not know the secret of this run")
    _send(sock, _mac(secret, b"gateway", ours, theirs, header), until)
    said = json.loads(header)
    if not isinstance(said, dict):
        raise Stranger("its header is no object")
    return said


def dial(address: tuple[str, int], secret: bytes, header: dict[str, Any]) -> Connection:
    """The agent's side. Raises Stranger, OSError (HungUp is both)."""
    until = time.monotonic() + SHAKE_S
    sock = socket.create_connection(address, timeout=SHAKE_S)
    try:
        if _read(sock, len(MAGIC), until) != MAGIC:
            raise Stranger("the peer is not a gateway of this version of capsexp")
        theirs, ours, said = _read(sock, NONCE, until), secrets.token_bytes(NONCE), json.dumps(header).encode()
        mac = _mac(secret, b"agent", theirs, ours, said)
        _send(sock, ours + len(said).to_bytes(4, "big") + said + mac, until)
        if not hmac.compare_digest(_read(sock, MAC, until), _mac(secret, b"gateway", theirs, ours, said)):
            raise Stranger("the peer does not know the secret of this run")
        return connection(sock)
    except BaseException:
        sock.close()
        raise


def connection(sock: socket.socket) -> Connection:
    """The same socket with messages instead of bytes; `sock` is used up."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(sock.detach())


class Link:
    """A control link: objects of JSON, sent by any thread."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self._lock = threading.Lock()

    def send(self, **message: Any) -> bool:
        """Whether it is on its way; false once the link has ended."""
        try:
            with self._lock:
                self.pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            return False
        return True

    def read(self) -> dict[str, Any]:
        """The next message. Raises EOFError or OSError at the end of the link, ValueError for what is no message."""
        said = json.loads(self.pipe.recv_bytes(MESSAGE))
        if not isinstance(said, dict):
            raise ValueError("no object")
        return said


class Clock:
    """How far another machine's monotonic clock is ahead of ours, from the shortest of the last KEEP round trips; the
    error is at most half of that trip (Cristian, Distributed Computing 3, 1989)."""

    KEEP = 64

    def __init__(self) -> None:
        self._trips: list[tuple[float, float]] = []  # s there and back, s that their clock is ahead

    def trip(self, sent: float, theirs: float, back: float) -> None:
        """Asked at `sent`, answered at `theirs` of their clock, heard at `back`."""
        self._trips = [*self._trips[1 - self.KEEP :], (back - sent, theirs - (sent + back) / 2)]

    @property
    def offset_s(self) -> float:
        """What to take from their times to get ours."""
        return min(self._trips)[1] if self._trips else 0.0

    @property
    def error_s(self) -> float | None:
        return min(self._trips)[0] / 2 if self._trips else None


def this_clock() -> str:
    """Identifies the monotonic clock of this process; equal for processes that share it."""
    return f"{_kernel()} {_namespace('time')}"


def these_pids() -> str:
    """Identifies the pid namespace of this process: boot id and namespace; equal where pids mean the same processes."""
    return f"{_kernel()} {_namespace('pid')}"


def _kernel() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return socket.gethostname()


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def _mac(secret: bytes, who: bytes, *parts: bytes) -> bytes:
    return hmac.digest(secret, who + b"".join(parts), "sha256")


def _send(sock: socket.socket, data: bytes, until: float) -> None:
    sock.settimeout(max(0.001, until - time.monotonic()))
    sock.sendall(data)


def _read(sock: socket.socket, size: int, until: float) -> bytes:
    """Exactly so many bytes. Raises HungUp where there are fewer."""
    found = bytearray()
    while len(found) < size:
        sock.settimeout(max(0.001, until - time.monotonic()))
        more = sock.recv(size - len(found))
        if not more:
            raise HungUp("hung up in the middle of the handshake")
        found += more
    return bytes(found)
