"""A file sent as a client of CapsWriter does, with keepalive."""

import asyncio
import json
import socket
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from capsexp.address import is_secure
from capsexp.client.request import ConnectionOptions
from capsexp.config import LoadConfig
from capsexp.protocol import AudioMessage, encode_audio
from tests.support import SLOW, noise

LOAD = LoadConfig(seg_duration=15.0, seg_overlap=2.0)


KEEPALIVE_S = 4.0 * SLOW  # a fifth of what CapsWriter's clients have, with a fifth of their audio


def piece(task: str, audio: object, final: bool = False, seconds: float = 15.0, overlap: float = 2.0) -> str:
    return encode_audio(AudioMessage(task, audio, final, seg_duration=seconds, seg_overlap=overlap))  # type: ignore[arg-type]


async def send_file(url: str, way: ConnectionOptions, number: int, seconds: int) -> str:
    """As CapsWriter's client does: a second per message, an empty last one, and keepalive."""
    audio, task = noise(seconds, number), f"file-{number}"
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # as its time is scaled, so is what its system buffers
    raw.connect(("127.0.0.1", urlsplit(url).port))
    raw.setblocking(False)
    async with connect(
        url, sock=raw, compression=None, max_size=None, proxy=None, ping_interval=KEEPALIVE_S, ping_timeout=KEEPALIVE_S,
        additional_headers=way.headers, ssl=way.tls() if is_secure(url) else None,
    ) as connection:  # fmt: skip

        async def send() -> None:
            for at in range(0, len(audio), 16_000):
                await connection.send(piece(task, audio[at : at + 16_000]))
            await connection.send(piece(task, audio[:0], True))

        sending = asyncio.create_task(send())
        try:
            async for frame in connection:
                answer = json.loads(frame)
                assert "error" not in answer, answer
                if answer["is_final"]:
                    return str(answer["text"])
        finally:
            sending.cancel()
    raise AssertionError("no final result")
