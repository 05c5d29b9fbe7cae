"""CapsWriter's way of sending against our standalone server, which is slower than the clients: is a file lost?

A second of audio per message, an empty final one, and keepalive: a ping every 20 s, the end without a pong in 20 s."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from connections import Memory, expected, noise, start, stop
from websockets.asyncio.client import connect

from capsexp.config import LoadConfig
from capsexp.protocol import RATE, AudioMessage, encode_audio


async def send_file(url: str, number: int, seconds: int, load: LoadConfig) -> str:
    """What became of it."""
    audio, task = noise(seconds, number), f"file-{number}"
    try:
        # The library's default: ping_interval=20, ping_timeout=20.
        async with connect(url, compression=None, max_size=None, proxy=None) as connection:

            async def send() -> None:
                for at in range(0, len(audio), RATE):
                    await connection.send(encode_audio(AudioMessage(task, audio[at : at + RATE], False)))
                await connection.send(encode_audio(AudioMessage(task, audio[:0], True)))

            sending = asyncio.create_task(send())
            try:
                async for frame in connection:
                    answer = json.loads(frame)
                    if "error" in answer:
                        return str(answer["error"])
                    if answer["is_final"]:
                        return "right" if answer["text"] == expected(audio, load) else "WRONG"
            finally:
                sending.cancel()
        return "no final result"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def all_of_them(url: str, clients: int, seconds: int, memory: Memory) -> list[str]:
    watching = asyncio.create_task(memory.watch())
    try:
        return await asyncio.gather(*(send_file(url, n, seconds, LoadConfig()) for n in range(clients)))
    finally:
        watching.cancel()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=10.0, help="of audio for each")
    parser.add_argument("--rtf", type=float, default=0.15)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    process, url = start(f"workers={asked.workers}", f"engine.rtf={asked.rtf}")
    try:
        memory, began = Memory(process.pid), time.monotonic()
        found = asyncio.run(all_of_them(url, asked.clients, round(60 * asked.minutes), memory))
        took = time.monotonic() - began
    finally:
        stop(process)
    right = found.count("right")
    print(
        f"{asked.clients} clients with {asked.minutes:g} minutes of audio each, {asked.workers} workers, "
        f"engine.rtf={asked.rtf:g}: {right} right, {asked.clients - right} lost, in {took:.0f} s; gateway "
        f"{memory.before:.0f} MB before, {memory.peak:.0f} MB at most",
    )
    for said in found:
        if said != "right":
            print(f"  {said}")
    raise SystemExit(right < asked.clients)


if __name__ == "__main__":
    main()
