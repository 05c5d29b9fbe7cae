"""A pool and a connection that are none, for a gateway without processes and sockets."""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from capsexp.config.server import SCHEDULES
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.protocol import RATE, AudioMessage, encode_audio
from capsexp.server.connection import Disconnected
from capsexp.server.core.order import Flow, order
from capsexp.server.core.scheduler import Admitted, Scheduler
from capsexp.server.pools.base import PendingWork, Recognized


class FakePool:
    """Answers in any order, and now and then with an error of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.engine, self.rng = NullEngine(NullConfig()), rng
        self.scheduler: Scheduler[PendingWork] = Scheduler(2, 3, "task", order(rng.choice(SCHEDULES), 0.01))
        for worker in range(2):
            self.scheduler.open(worker)

    def submit(
        self, work: Any, flow: Flow, on_admitted: Callable[[], object] = lambda: None
    ) -> "asyncio.Future[Recognized]":
        future: asyncio.Future[Recognized] = asyncio.get_running_loop().create_future()
        ticket = PendingWork(flow, work=work, queued=0.0, future=future, on_admitted=on_admitted)
        future.add_done_callback(lambda _: self._left(ticket))
        self.scheduler.submit(ticket)
        self._go_on()
        return future

    def _left(self, ticket: PendingWork) -> None:
        if ticket.future.cancelled():
            self.scheduler.withdraw(ticket)
        else:
            self.scheduler.over(ticket)
        self._go_on()

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        for act in self.scheduler.turn(loop.time()):
            if isinstance(act, Admitted):
                act.work.on_admitted()
            else:
                loop.call_later(self.rng.choice((0, 0, 0.001)), self._answer, act.worker)

    def _answer(self, worker: int) -> None:
        ticket = self.scheduler.answered(worker)
        if ticket.future.done():
            self.scheduler.over(ticket)
        else:
            work: Any = ticket.work
            found = self.engine.recognize(work.audio, work.start, work.shared)
            ticket.future.set_result(Recognized(found, worker, 1, 0.0, 0.0, 0.0, 0))
        self._go_on()


class FakeConnection:
    def __init__(self, frames: list[str | bytes]) -> None:
        self.frames, self.answers = deque(frames), []
        self.gone = self.hurried = False
        self.on_gone: Callable[[], object] = lambda: None

    async def receive(self, at_once: bool = False) -> str | bytes:
        if not self.frames:
            await asyncio.sleep(0.05)
            raise Disconnected
        await asyncio.sleep(0)
        return self.frames.popleft()

    def done(self) -> None:
        """It has no turns."""

    async def send(self, message: str) -> None:
        message.encode()
        self.answers.append(json.loads(message))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.frames.clear()

    def leave(self) -> None:
        self.gone = True
        self.on_gone()

    def drop(self) -> None:
        self.frames.clear()


def message(task: str, seconds: float, final: bool = False, duration: float = 15.0, overlap: float = 2.0) -> str:
    audio = np.zeros(round(seconds * RATE), np.float32)
    return encode_audio(AudioMessage(task, audio, final, seg_duration=duration, seg_overlap=overlap))
