"""Misbehaving clients for fault=client_vanishes, slow_client and garbage_client. Each is a process
of its own (`python -m capsexp.client.chaos_clients`, told what to do in a line of JSON).

They speak through websockets' protocol without its input and output, so that what they do to the socket is up to them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import numpy as np
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from capsexp.address import is_secure, port_of
from capsexp.client.request import ConnectionOptions
from capsexp.lifeline import die_with_parent
from capsexp.protocol import RATE, AudioMessage, encode_audio

TASK = "fault-"  # begins the task ids of all of them
TIMEOUT_S = 10.0


class RawWebSocket:
    """A connection to a WebSocket server, opened by hand."""

    def __init__(self, url: str, way: ConnectionOptions, buffer: int | None = None) -> None:
        parts = urlsplit(url)
        family = socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        if buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        raw.settimeout(TIMEOUT_S)
        raw.connect((parts.hostname or "127.0.0.1", port_of(url)))
        context = way.tls() if is_secure(url) else None
        self.socket = context.wrap_socket(raw, server_hostname=parts.hostname) if context else raw
        self._protocol = ClientProtocol(parse_uri(url))
        self._headers = way.headers

    def shake_hands(self) -> None:
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self.flush()
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionError("no handshake")
            answer += piece
        self._protocol.receive_data(answer)

    def frame(self, payload: str | bytes) -> bytes:
        """A message as it goes over the wire: masked, as a client's has to be."""
        opcode, data = (Opcode.TEXT, payload.encode()) if isinstance(payload, str) else (Opcode.BINARY, payload)
        return Frame(opcode, data).serialize(mask=True)

    def flush(self) -> None:
        for piece in self._protocol.data_to_send():
            self.socket.sendall(piece)


def vanish(url: str, way: ConnectionOptions, seed: int, seconds: float) -> None:
    """Send part of a long task, then die as by kill -9: between two messages, or in the middle of one."""
    rng, line = random.Random(seed), RawWebSocket(url, way)
    line.shake_hands()
    frames = [line.frame(message) for message in _task(rng, f"{TASK}{seed}", rng.randint(2, 4))]
    for frame in frames[:-1]:
        line.socket.sendall(frame)
    line.socket.sendall(frames[-1][: rng.randrange(len(frames[-1]))])
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def slow_reader(url: str, way: ConnectionOptions, seed: int, seconds: float) -> None:
    """Send as fast as the server takes it, and read next to nothing, for `seconds`."""
    rng, line = random.Random(seed), RawWebSocket(url, way, buffer=4096)
    line.shake_hands()
    until = time.monotonic() + seconds
    line.socket.settimeout(0.1)
    for message in _tasks(rng, seed):
        left = memoryview(line.frame(message))
        while left:
            if time.monotonic() > until:
                return
            with contextlib.suppress(TimeoutError):
                left = left[line.socket.send(left) :]
        with contextlib.suppress(TimeoutError):
            line.socket.recv(1)


def fuzz(url: str, way: ConnectionOptions, seed: int, seconds: float) -> None:
    """Send each kind of malformed input on a connection of its own, in an order drawn from `seed`."""
    rng = random.Random(seed)
    kinds = [_noise, _no_upgrade, _half_a_handshake, _bad_frames, _endless_frame, _bad_messages]
    rng.shuffle(kinds)
    for kind in kinds:
        with contextlib.suppress(OSError, EOFError):  # thrown out, as it should be
            kind(RawWebSocket(url, way), rng)


KINDS: dict[str, Callable[[str, ConnectionOptions, int, float], None]] = {
    "client_vanishes": vanish,
    "slow_client": slow_reader,
    "garbage_client": fuzz,
}


def _audio(rng: random.Random, seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, 0.1, round(seconds * RATE))
    return noise.astype(np.float32)


def _task(rng: random.Random, task_id: str, messages: int, ends: bool = False) -> Iterator[str]:
    for number in range(messages):
        last = ends and number == messages - 1
        yield encode_audio(AudioMessage(task_id, _audio(rng, 20.0), last, seg_duration=2.0, seg_overlap=0.5))


def _tasks(rng: random.Random, seed: int) -> Iterator[str]:
    number = 0
    while True:
        yield from _task(rng, f"{TASK}{seed}-{number}", 3, ends=True)
        number += 1


def _noise(line: RawWebSocket, rng: random.Random) -> None:
    line.socket.sendall(rng.randbytes(rng.randint(1, 100_000)))


def _no_upgrade(line: RawWebSocket, rng: random.Random) -> None:
    line.socket.sendall(b"POST /" + rng.randbytes(8).hex().encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    line.socket.recv(4096)


def _half_a_handshake(line: RawWebSocket, rng: random.Random) -> None:
    line.socket.sendall(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: " + b"x" * rng.randint(0, 3000))


def _bad_frames(line: RawWebSocket, rng: random.Random) -> None:
    line.shake_hands()
    frame = bytearray(line.frame("{}"))
    frame[0] |= rng.choice((0x10, 0x20, 0x40, 0x0F))
    line.socket.sendall(bytes(frame))
    line.socket.recv(4096)


def _endless_frame(line: RawWebSocket, rng: random.Random) -> None:
    line.shake_hands()
    line.socket.sendall(b"\x81\xff" + (2**40).to_bytes(8, "big") + rng.randbytes(1000))
    line.socket.recv(4096)


def _bad_messages(line: RawWebSocket, rng: random.Random) -> None:
    line.shake_hands()
    nan = base64.b64encode(np.array([np.nan, np.inf], "<f4").tobytes()).decode()
    right = {"task_id": f"{TASK}bad", "data": "AAAA", "is_final": False}
    messages: list[str | bytes] = [
        "", "{", "[]", "null", '"' + "x" * 10_000, "[" * 10_000, b"\0\1\2", rng.randbytes(1000),
        *(
            json.dumps({**right, **wrong})
            for wrong in (
                {"data": nan}, {"data": "?"}, {"data": "AAA"}, {"data": 7}, {"task_id": None}, {"task_id": ""},
                {"seg_duration": -1}, {"seg_duration": 0}, {"seg_duration": 1e300}, {"seg_overlap": "x"},
                {"is_final": "yes"}, {"time_start": [1]},
            )
        ),
    ]  # fmt: skip
    rng.shuffle(messages)
    for message in messages:
        line.socket.sendall(line.frame(message))
    line.socket.recv(4096)


def main() -> int:
    """Do as standard input says; the server throwing us out is not an error."""
    told = json.loads(sys.stdin.readline())
    die_with_parent(told["parent"])
    with contextlib.suppress(OSError):
        KINDS[told["kind"]](
            told["url"], ConnectionOptions(told["token"], told["certfile"]), told["seed"], told["seconds"]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
