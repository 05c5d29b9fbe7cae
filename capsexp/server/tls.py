"""TLS without a socket: what is received and what is to be sent, in order that who is read from, and how much, is ours
to say. asyncio's own layer reads a quarter of a megabyte of each connection ahead."""

from __future__ import annotations

import contextlib
import ssl


class Tls:
    """The server's side of one connection. Raises ssl.SSLError for what is not TLS, or not acceptable: `to_send` then
    holds what the client is to be told."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._received, self._sent, server_side=True)
        self._shaken = False
        self.ended = False  # the client sends nothing more

    def feed(self, data: bytes | bytearray) -> None:
        """What was received."""
        self._received.write(data)

    def read(self, into: memoryview) -> int:
        """How many bytes of it could be decrypted; 0 when more has to come."""
        size = 0
        try:
            if not self._shaken:
                self._object.do_handshake()
                self._shaken = True
            while size < len(into):
                # A record at a time comes out.
                count = self._object.read(len(into) - size, into[size:])
                if not count:
                    self.ended = True
                    break
                size += int(count)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True
        return size

    def write(self, data: bytes) -> None:
        self._object.write(data)

    def end(self) -> None:
        """Say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLError):  # the client's own end is not waited for
            self._object.unwrap()

    def to_send(self) -> bytes:
        return self._sent.read()
