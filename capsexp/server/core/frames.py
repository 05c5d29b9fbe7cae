"""Where frames begin and end in what a client sends (RFC 6455, 5.2): how large a message is, before it has come."""

from __future__ import annotations

HEAD = 14  # bytes at most, before a frame's payload
CLOSE = 0x8


class FrameMeter:
    """Is fed every byte behind the handshake. What is no frame gives numbers without a meaning: to refuse it is the
    WebSocket library's part."""

    def __init__(self) -> None:
        self.message = 0  # bytes that are announced of the message that has begun; 0 between messages
        self.left = 0  # bytes until its frame, or one that comes between, ends
        self.held = 0  # bytes of a frame that has not come whole
        self.closed = False  # a close frame has come whole
        self._head = bytearray()
        self._opcode, self._final = 0, False

    def feed(self, data: bytes | bytearray) -> None:
        at, end = 0, len(data)
        while at < end:
            if self.left:
                step = min(self.left, end - at)
                self.left -= step
            else:
                step = min(self._head_size() - len(self._head), end - at)
                self._head += data[at : at + step]
                if len(self._head) == self._head_size():
                    self._begin()
            at += step
            self.held += step
            if not self._head and not self.left:
                self._end()

    def _head_size(self) -> int:
        """Bytes, as far as the head tells by now."""
        if len(self._head) < 2:
            return 2
        return 2 + {126: 2, 127: 8}.get(self._head[1] & 0x7F, 0) + (4 if self._head[1] & 0x80 else 0)

    def _begin(self) -> None:
        first, second = self._head[0], self._head[1]
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self._head[2 : 4 if length == 126 else 10], "big")
        self._opcode, self._final, self.left = first & 0x0F, bool(first & 0x80), length
        if self._opcode < CLOSE:
            self.message += length
        self._head.clear()

    def _end(self) -> None:
        self.held = 0
        if self._opcode == CLOSE:
            self.closed = True
        elif self._opcode < CLOSE and self._final:
            self.message = 0
