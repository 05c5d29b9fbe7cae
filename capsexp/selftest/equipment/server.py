"""A server of CapsWriter's protocol that does a known thing: `python -m capsexp.selftest.equipment.server HOW PORT`.

It shares nothing with ours but the words of engine=null; a clip is one segment. HOW is one of

sound     nothing else: the control,
drops     of the victim (a clip of --victim-s) it closes the connection before the final result,
doubles   to it, it sends the final result twice,
cuts      to it, it sends the first half of the text,
swaps     to it, it sends the text of another clip,
loads     it holds --loading-mb until it is ready, and --held-mb from then on,
leaks     it holds --leak-mb-per-s more and more, and uses --cpu CPU s for a second of audio,
computes  it uses --cpu CPU s for a second of audio, on one CPU alone, and leaves word when the load began."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from capsexp.engines.null import NullConfig, NullEngine
from capsexp.selftest.equipment.command import BEGAN, FOLDER
from capsexp.selftest.equipment.cpu import own_cpu, use

RATE = 16_000
MB = 2**20
LEAK_EVERY_S = 0.1
LOADING_S = 1.0  # long enough to be seen


def ballast(mb: float) -> np.ndarray[Any, Any]:
    """Memory that is resident, as it was written to."""
    return np.ones(round(mb * MB), np.uint8)


class Equipment:
    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked, self._engine = asked, NullEngine(NullConfig())
        self._other = ""  # the last text that was not the victim's
        self._held: list[np.ndarray[Any, Any]] = []

    async def talk(self, connection: ServerConnection) -> None:
        held: dict[str, bytes] = {}
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                message = json.loads(frame)
                task = message["task_id"]
                held[task] = held.get(task, b"") + base64.b64decode(message["data"])
                if message["is_final"]:
                    await self._answer(connection, task, np.frombuffer(held.pop(task), np.float32))

    async def _answer(self, connection: ServerConnection, task: str, audio: np.ndarray[Any, Any]) -> None:
        how, seconds = self._asked.how, len(audio) / RATE
        if how == "computes":
            self._begin(seconds)
        if how in ("leaks", "computes"):
            use(self._asked.cpu * seconds)
        await asyncio.sleep(self._asked.rtf * seconds)
        heard = self._engine.recognize(audio)
        text, times = " ".join(heard.tokens), list(heard.times or [])
        if seconds == self._asked.victim_s:
            if how == "drops":
                await connection.close()
                return
            text = self._other if how == "swaps" else text[: len(text) // 18 * 9 - 1] if how == "cuts" else text
        else:
            self._other = text
        final = json.dumps(
            {
                "task_id": task, "is_final": True, "duration": seconds, "time_start": 0.0, "time_submit": 0.0,
                "time_complete": 0.0, "text": text, "text_accu": text, "tokens": heard.tokens, "timestamps": times,
            }
        )  # fmt: skip
        await connection.send(final)
        if how == "doubles" and seconds == self._asked.victim_s:
            await connection.send(final)

    def _begin(self, seconds: float) -> None:
        """The first request of the load is the first one of full length: those before it, which warm a server up, are
        of the shortest clip."""
        folder = os.environ.get(FOLDER)
        if folder and seconds >= self._asked.full_s and not (path := Path(folder) / BEGAN).exists():
            path.write_text(repr(time.monotonic()))

    def load(self) -> None:
        """Before it is ready."""
        if self._asked.how == "loads":
            self._held = [ballast(self._asked.held_mb)]
            loading = ballast(self._asked.loading_mb - self._asked.held_mb)
            time.sleep(LOADING_S)
            del loading
        elif self._asked.how == "computes":
            own_cpu()

    async def leak(self) -> None:
        """By the clock, so that a late turn takes no part of it away."""
        began, leaked = time.monotonic(), 0.0
        while self._asked.how == "leaks":
            due = self._asked.leak_mb_per_s * (time.monotonic() - began)
            self._held.append(ballast(due - leaked))
            leaked = due
            await asyncio.sleep(LEAK_EVERY_S)


async def run(asked: argparse.Namespace) -> None:
    equipment = Equipment(asked)
    equipment.load()
    async with serve(equipment.talk, "127.0.0.1", asked.port, max_size=None, ping_interval=None) as server:
        leaking = asyncio.create_task(equipment.leak())
        await server.serve_forever()
        await leaking


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("how")
    parser.add_argument("port", type=int)
    for name in ("rtf", "victim-s", "full-s", "cpu", "loading-mb", "held-mb", "leak-mb-per-s"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    asyncio.run(run(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
