"""TLS on byte buffers, without a socket, so that the server itself decides which connection is read, and how much of
it. asyncio's own TLS layer reads a quarter of a megabyte ahead on each connection."""

from __future__ import annotations

import contextlib
import ssl

RECORD = 16_384  # bytes; OpenSSL keeps room for as much as it ever had at once, so it gets little at a time


class Tls:
    """The server's side of one connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._received, self._sent, server_side=True)
        self.shaken = False  # the handshake is complete
        self.ended = False  # the client sends nothing more

    def decrypt(self, received: memoryview, into: memoryview) -> int:
        """Decrypt `received`, and what earlier calls left of a record, into `into`, which has room for RECORD
        bytes more than `received`; returns the number of bytes. Raises ssl.SSLError for what is not TLS, or not
        acceptable: `to_send` then returns the alert for the client."""
        size = 0
        for at in range(0, len(received), RECORD):
            self._received.write(received[at : at + RECORD])
            size += self._read(into[size:])
        return size

    def encrypt(self, data: bytes) -> bytes:
        """What is to be sent."""
        pieces = []
        for at in range(0, len(data), RECORD):
            self._object.write(data[at : at + RECORD])
            pieces.append(self.to_send())
        return b"".join(pieces)

    def end(self) -> None:
        """Say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLError):  # the client's own end is not waited for
            self._object.unwrap()

    def to_send(self) -> bytes:
        """What TLS itself has to say."""
        return self._sent.read()

    def _read(self, into: memoryview) -> int:
        size = 0
        try:
            if not self.shaken:
                self._object.do_handshake()
                self.shaken = True
            while size < len(into):
                count = int(self._object.read(len(into) - size, into[size:]))  # a record at a time comes out
                if not count:
                    self.ended = True
                    break
                size += count
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True
        return size
