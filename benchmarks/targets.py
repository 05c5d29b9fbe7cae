"""What the client costs for each target: its CPU per second of audio against a raw loop that sends the same bytes, made
beforehand, over the same transport and takes the same answers.

    python benchmarks/targets.py

Both take turns in one process; the server, which hears nothing, is another. Requests are long, so that audio counts;
what each request costs beside is measured with short ones. Fails where a target takes more than 1.5 times the raw
loop's CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import numpy as np
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from capsexp.address import address
from capsexp.client import load
from capsexp.client.request import ConnectionOptions, Request
from capsexp.config import LoadConfig
from capsexp.protocol import RATE
from capsexp.targets import TARGETS, TargetRequest
from capsexp.targets.base import Utf8, as_pcm16

MOST = 1.5  # times the raw loop's CPU
SECONDS, REQUESTS = 600, 3  # of audio in a request, which both send one by one; and how many
SHORT_S, SHORT = 1, 100  # the same of requests that are mostly connection
OWN: dict[str, dict[str, Any]] = {"openai": {"model": "any"}}
ANSWER = {"task_id": "t", "is_final": True, "duration": 1.0, "time_start": 0.0, "time_submit": 0.0,
          "time_complete": 0.0, "text": "a", "text_accu": "a", "tokens": ["a"], "timestamps": [0.1]}  # fmt: skip


# The server: the end of a request is all that it looks for.


async def capswriter(connection: ServerConnection) -> None:
    async for frame in connection:
        if '"is_final": true' in str(frame[:200]):
            await connection.send(json.dumps(ANSWER))


async def sherpa(connection: ServerConnection) -> None:
    left: int | None = None
    async for frame in connection:
        left = struct.unpack("<ii", frame[:8])[1] - len(frame) + 8 if left is None else left - len(frame)  # type: ignore[arg-type]
        if left <= 0:
            await connection.send("a")


async def funasr(connection: ServerConnection) -> None:
    async for frame in connection:
        if isinstance(frame, str) and "is_end" in frame:
            await connection.send('{"text": "a", "mode": "offline", "is_final": true}')
            await connection.send('{"is_end": true, "is_final": true}')


async def vosk(connection: ServerConnection) -> None:
    async for frame in connection:
        if isinstance(frame, bytes):
            await connection.send('{"partial" : "a"}')
        elif "eof" in frame:
            await connection.send('{"text" : "a"}')
            await connection.close(1000)


async def openai(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    body = b'{"text": "a"}'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    writer.close()


async def wyoming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        event = json.loads(line)
        await reader.readexactly(event.get("data_length", 0) + event.get("payload_length", 0))
        if event["type"] == "audio-stop":
            writer.write(b'{"type": "transcript", "data": {"text": "a"}}\n')
            break
    writer.close()


SERVERS: dict[str, Callable[..., Awaitable[None]]] = {
    each.__name__: each for each in (capswriter, sherpa, funasr, vosk, openai, wyoming)
}


async def listen(target: str) -> None:
    """Says its port."""
    handler: Any = SERVERS[target]
    if TARGETS.settings(target).transport == "websocket":
        async with serve(handler, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()
    async with await asyncio.start_server(handler, "127.0.0.1", 0, limit=2**22) as plain:
        print(plain.sockets[0].getsockname()[1], flush=True)
        await plain.serve_forever()


# The raw loop.


async def raw_websocket(url: str, frames: list[str | bytes], way: ConnectionOptions) -> None:
    names: Any = list(way.target.subprotocols) or None
    async with connect(
        url, subprotocols=names, compression=None, max_size=None, ping_interval=None, proxy=None
    ) as socket:

        async def take() -> None:
            last = {"capswriter": '"is_final": true', "sherpa": "a", "funasr": '"is_end"', "vosk": '"text"'}
            while last[way.target.name] not in await socket.recv():  # type: ignore[operator]
                pass

        taking = asyncio.create_task(take())
        for frame in frames:
            await socket.send(frame)
        await taking


async def raw_stream(port: int, frames: list[str | bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for frame in frames:
        writer.write(frame.encode() if isinstance(frame, str) else frame)
        await writer.drain()
    while await reader.read(65536):
        pass
    writer.close()


def frames_of(way: ConnectionOptions, audio: Any, url: str) -> list[str | bytes]:
    """All that the client sends for a request."""
    talk: Any = TARGETS.get(way.target.name).begin(way.target, TargetRequest("t", samples=len(audio)))
    found: list[str | bytes] = []
    if way.target.transport == "http":
        head = {"Host": url.removeprefix("http://"), "Connection": "close", **talk.head()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        found.append(f"POST {way.target.path} HTTP/1.1\r\n{lines}\r\n")  # type: ignore[attr-defined]
    found += talk.opening()
    step = round(LoadConfig().message_s * RATE)
    for at in range(0, len(audio), step):
        found += talk.audio(audio[at : at + step], at + step >= len(audio))
    found += talk.ending()
    return [frame.data.decode() if isinstance(frame, Utf8) else frame for frame in found]


def measure(target: str, repeats: int) -> float:
    """The median ratio, which it prints with both costs."""
    command = [sys.executable, __file__, "--listen", target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            way = ConnectionOptions(target=TARGETS.settings(target)(**OWN.get(target, {})))
            url = address(way.target.transport, "127.0.0.1", port, False)
            return _compared(target, way, url, port, repeats)
        finally:
            server.terminate()


def _compared(target: str, way: ConnectionOptions, url: str, port: int, repeats: int) -> float:
    def costs(seconds: int, requests: int) -> list[tuple[float, float]]:
        """Milliseconds of CPU for a request, of the raw loop and of the client, in turns."""
        audio = (np.random.default_rng(0).normal(0, 0.1, seconds * RATE) * 32768).round().astype(np.float32) / 32768
        frames = frames_of(way, audio, url)
        sample = as_pcm16(audio) if way.target.pcm16 else audio  # as the client has made it before the load

        async def ours() -> None:
            asked = [Request(number, "t", "x", sample) for number in range(requests)]
            await load.run(asked, url, LoadConfig(concurrency=1), way=way)
            assert all(r.ok for r in asked), asked[0].error

        async def raw() -> None:
            for _ in range(requests):
                if way.target.transport == "websocket":
                    await raw_websocket(url, frames, way)
                else:
                    await raw_stream(port, frames)

        def cost(sending: Callable[[], Any]) -> float:
            began = time.process_time()
            asyncio.run(sending())
            return 1e3 * (time.process_time() - began) / requests

        cost(raw), cost(ours)  # what is imported and allocated once
        return [(cost(raw), cost(ours)) for _ in range(repeats)]

    pairs = costs(SECONDS, REQUESTS)
    ratio = median(mine / theirs for theirs, mine in pairs)
    theirs, mine = (median(each) / SECONDS for each in zip(*pairs, strict=True))
    short = costs(SHORT_S, SHORT)
    more, times = median(mine - theirs for theirs, mine in short), median(mine / theirs for theirs, mine in short)
    print(
        f"{target}: {ratio:.2f} times the raw loop ({mine:.4f} and {theirs:.4f} ms of CPU per second of audio), "
        f"{more:.2f} ms more for a request of {SHORT_S} s, {times:.1f} times"
    )
    return ratio


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all, where none is named")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--listen", metavar="TARGET", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.listen:
        asyncio.run(listen(asked.listen))
    found = {target: measure(target, asked.repeats) for target in asked.targets or SERVERS}
    if worst := [target for target, ratio in found.items() if ratio > MOST]:
        sys.exit(f"more than {MOST} times the raw loop: {', '.join(worst)}")
