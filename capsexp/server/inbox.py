"""What has come of one connection and was not taken."""

from __future__ import annotations

from typing import cast

from websockets.frames import Frame, Opcode

from capsexp.server.core.frames import HEAD, FrameMeter

SMALL = 16_384  # bytes: such a message needs no turn
AHEAD = 8_192  # bytes that are read without one
CHUNK = 262_144  # bytes that are read at once with one


class Inbox:
    """Takes every byte after the handshake (`feed`), and every frame that the protocol makes of them (`put`)."""

    def __init__(self) -> None:
        self._meter = FrameMeter()
        self._pieces = bytearray()  # of a message in fragments, however many: each alone would cost more than it says
        self._messages: list[tuple[bytes | bytearray, bool]] = []  # and whether it is text; few, or small ones
        self._size = 0  # bytes of both
        self._is_text = False
        self._large_before = True  # the latest message was, or there was none

    def __bool__(self) -> bool:
        """Whether a message is whole."""
        return bool(self._messages)

    @property
    def size(self) -> int:
        """Bytes, those of the frame that has not come whole too."""
        return self._size + self._meter.held

    @property
    def is_large(self) -> bool:
        """The message that comes in."""
        return self._meter.message > SMALL

    @property
    def closed(self) -> bool:
        """The client has said its goodbye."""
        return self._meter.closed

    def to_read(self, has_turn: bool, in_records: bool) -> int:
        """How many bytes to read at most. At the beginning of a message it is the frame's head alone where the message
        before was large (or there was none), so that a large one waits unread for its turn. With TLS (`in_records`) it
        is AHEAD, as only whole records can be decrypted."""
        if has_turn:
            return max(AHEAD, min(CHUNK, self._meter.left))
        if in_records:
            return AHEAD
        return min(self._meter.left, AHEAD) or (HEAD if self._large_before else AHEAD)

    def feed(self, data: bytes | bytearray) -> None:
        self._meter.feed(data)

    def put(self, frame: Frame) -> None:
        """Add a frame and empty it: the protocol keeps the last one until the next comes, which would be megabytes
        for each client that has sent its file and waits."""
        data, frame.data = frame.data, b""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._size += len(data)
        if not frame.fin:
            self._pieces += data
            return
        whole: bytes | bytearray = cast(bytes, data)
        if self._pieces:
            self._pieces += data
            whole, self._pieces = self._pieces, bytearray()
        self._large_before = len(whole) > SMALL
        self._messages.append((whole, self._is_text))

    def pop(self) -> str | bytes:
        """The oldest message; raises UnicodeDecodeError for text that is none."""
        data, is_text = self._messages.pop(0)
        self._size -= len(data)
        return str(data, "utf-8") if is_text else bytes(data)

    def clear(self) -> None:
        self._messages.clear()
        self._pieces = bytearray()
        self._size = 0
