"""A pool and a connection that are none, for a gateway without processes and sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from capsexp.engines.null import NullConfig, NullEngine
from capsexp.protocol import RATE, AudioMessage, encode_audio
from capsexp.server.pools.base import Outcome


class FakePool:
    """Answers in any order, and now and then with an error of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.engine, self.rng = NullEngine(NullConfig()), rng

    def workers(self) -> list[Any]:
        return [None, None]

    def submit(self, work: Any, worker: int | None = None) -> "asyncio.Future[Outcome]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def answer() -> None:
            if not future.done():
                found = self.engine.recognize(work.audio, work.start, work.shared)
                future.set_result(Outcome(found, 0, 1, 0.0, 0.0, 0.0, 0))

        loop.call_later(self.rng.choice((0, 0, 0.001)), answer)
        return future


class FakeConnection:
    def __init__(self, frames: list[str | bytes]) -> None:
        self.frames, self.answers = frames, []

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        for frame in self.frames:
            yield frame
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)

    async def send(self, message: str) -> None:
        message.encode()
        self.answers.append(json.loads(message))


def message(task: str, seconds: float, final: bool = False, duration: float = 15.0, overlap: float = 2.0) -> str:
    audio = np.zeros(round(seconds * RATE), np.float32)
    return encode_audio(AudioMessage(task, audio, final, seg_duration=duration, seg_overlap=overlap))
