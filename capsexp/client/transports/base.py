"""The interface of all transports."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from capsexp.errors import ConfigError
from capsexp.targets import TARGETS, TargetConfig
from capsexp.targets.base import Frame, Utf8

OPEN_S = 30.0  # for a connection to be opened


class Ended(Exception):
    """The server has ended the connection in order: what a target's `closed` is told."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Redirected(Exception):
    """The server answers with the address of another (`there`, empty where it says none), to which nothing is sent."""

    def __init__(self, status: int, there: str = "") -> None:
        super().__init__(status, there)
        self.status, self.there = status, there


class Garbled(Exception):
    """What came back is nothing of this transport's, or broke off in the middle."""


def as_bytes(frame: Frame) -> bytes | memoryview:
    """Of a frame that is a part of a stream."""
    if isinstance(frame, Utf8):
        return frame.data
    return frame.encode() if isinstance(frame, str) else frame


class Connection(Protocol):
    """For a request, or for several, one after another."""

    async def send(self, frame: Frame) -> None:
        """Returns when it was handed to the system, or nearly all of it."""
        ...

    async def finish(self) -> None:
        """After the last frame."""
        ...

    async def receive(self) -> str | bytes:
        """A message, or where there is none of these the bytes that have come; raises Ended at the end."""
        ...

    def again(self, head: Mapping[str, str]) -> bool:
        """Begin another request, of which the target says `head`; False where this connection takes none."""
        ...


@dataclass(frozen=True)
class ConnectionOptions:
    """What a guarded server asks for: a token, and a certificate (PEM) that the system does not know. `own`: it was
    started for this load, so that having no room for it is the run's mistake and not the server's. `target`: what it
    speaks."""

    token: str | None = None
    certfile: str | None = None
    own: bool = False
    target: TargetConfig = field(default_factory=lambda: TARGETS.settings("capswriter")())

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> ssl.SSLContext:
        """Raises ConfigError for a certificate that cannot be read."""
        try:
            return ssl.create_default_context(cafile=self.certfile)
        except OSError as error:
            raise ConfigError(f"server.certfile={self.certfile}: cannot be read: {error.strerror or error}") from None


OPEN = ConnectionOptions()


class Opening(Protocol):
    """What a module of a transport has as `opened`."""

    def __call__(
        self, url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool
    ) -> AbstractAsyncContextManager[Connection]:
        """`head`: what the target says of the request before its frames, where the transport has a place for it;
        `keep`: there may be another request. Raises OSError, what else the transport's library raises, and ValueError
        for what is no address."""
        ...
