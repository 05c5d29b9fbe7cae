"""A server that speaks as sherpa-onnx' does and goes wrong in one way: `python misbehaving.py HOW PORT`. It shares
nothing with ours. Alone, one request at a time, most of them do well; under load they

half       answer the first half of a text,
other      answer the text of whoever asked at the same time,
endless    take the audio and never answer,
closing    close with 1000, as if all were well,
third      crash on the third request, alone or not,
first      crash on the first one,
background put itself into the background, in a session of its own, before it listens,
opened     and once it listens,
moody      answer every other time in another way, alone or not,
sound      do nothing wrong."""

import asyncio
import itertools
import os
import struct
import sys
from collections import Counter

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedOK

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def text_of(audio: bytes) -> str:
    """Ten words that depend on all of the audio."""
    parts = [audio[at : at + 4] for at in range(0, len(audio), max(4, len(audio) // 40 * 4))]
    return " ".join(WORDS[sum(part) % len(WORDS)] for part in parts[:10])


class Misbehaving:
    def __init__(self, how: str) -> None:
        self.how, self.asked, self.often = how, itertools.count(1), Counter[str]()
        self.at_once: list[tuple[str, set[str]]] = []  # texts of requests under way, each with those that it met

    async def talk(self, connection: ServerConnection) -> None:
        try:
            while True:
                await self.answer(connection, await self.audio(connection))
        except ConnectionClosedOK:
            pass

    async def audio(self, connection: ServerConnection) -> bytes:
        frame = await connection.recv(decode=False)
        _, size = struct.unpack("<ii", frame[:8])
        held = frame[8:]
        while len(held) < size:
            held += await connection.recv(decode=False)
        return held

    async def answer(self, connection: ServerConnection, audio: bytes) -> None:
        number, text = next(self.asked), text_of(audio)
        if (self.how, number) in (("first", 1), ("third", 3)):
            print(f"it was the {self.how} request", flush=True)
            os._exit(7)
        self.often[text] += 1
        if self.how == "moody" and self.often[text] % 2:
            text += " perhaps"
        others = {other for other, _ in self.at_once} - {text}
        for _, met in self.at_once:
            met.add(text)
        here = (text, others)
        self.at_once.append(here)
        await asyncio.sleep(0.2)  # somebody else may ask meanwhile
        self.at_once.remove(here)
        other = min(others - {text}, default=None)
        if other is not None and self.how == "endless":
            await connection.wait_closed()
        elif other is not None and self.how == "closing":
            await connection.close(1000)
        elif other is not None and self.how == "half":
            await connection.send(" ".join(text.split()[:5]))
        else:
            await connection.send(other if other is not None and self.how == "other" else text)


def leave() -> None:
    """What a shell sees has ended well; what goes on is a child."""
    if os.fork():
        os._exit(0)
    os.setsid()


async def main(how: str, port: int) -> None:
    if how == "background":
        leave()
        await asyncio.sleep(60)
    async with serve(Misbehaving(how).talk, "127.0.0.1", port, max_size=None) as server:
        if how == "opened":
            leave()
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
