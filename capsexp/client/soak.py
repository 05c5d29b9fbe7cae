"""Requests for hours: repeats a set of samples, with a record of bounded size."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from capsexp.client.connections import Connections
from capsexp.client.load import Answered, Lag, Outcome, plan, timed_out
from capsexp.client.request import OPEN, ConnectionOptions, Request, perform
from capsexp.config import LoadConfig
from capsexp.protocol import Result
from capsexp.samples import Sample

MOST_KINDS = 1000  # different answers; a server that gives more is broken however many there are
REST_S = 1.0  # after a failure, so that a server that is down is not hammered

Key = tuple[Any, ...]


@dataclass
class Kind:
    """Requests that came to the same: all but their times."""

    first: Request
    result: Result | None
    count: int = 0


class Record(Outcome):
    """An Outcome of any number of requests: of those that came to the same, evenly spread ones are kept as rows, at
    most `most` rows together, and the first one of each kind, which also counts the others."""

    def __init__(self, most: int) -> None:
        super().__init__([], 0.0, 0.0)
        self.most, self.every, self.ended, self.failed = most, 1, 0, 0
        self.kinds: dict[Key, Kind] = {}
        self.kept: list[tuple[int, Request, Kind]] = []
        self.first: float | None = None
        self.last: float | None = None
        self.audio_s = 0.0

    def add(self, request: Request) -> None:
        """A request that has ended; its answer is kept only where it is a new one."""
        result, request.result = request.result, None
        if len(self.kinds) >= MOST_KINDS and self._key(request, result) not in self.kinds:
            request.error, result = f"more than {MOST_KINDS} different answers", None
        kind = self.kinds.setdefault(self._key(request, result), Kind(request, result))
        kind.count += 1
        if kind.first is request or self.ended % self.every == 0:
            self.kept.append((self.ended, request, kind))
        self.ended += 1
        self.failed += not request.ok
        self.audio_s += request.duration_s if request.ok else 0.0
        if request.start is not None:
            self.first = request.start if self.first is None else min(self.first, request.start)
        if request.final is not None:
            self.last = request.final if self.last is None else max(self.last, request.final)
        if len(self.kept) > self.most:
            self.every *= 2
            self.kept = [k for k in self.kept if k[0] % self.every == 0 or k[2].first is k[1]]

    @staticmethod
    def _key(request: Request, result: Result | None) -> Key:
        said = (result.text, result.text_accu, result.duration) if result is not None else None
        return request.sample, said, request.results, request.finals, request.foreign, request.error

    def snapshot(self) -> Record:
        """As it is now, for a thread that writes it down."""
        now = Record(self.most)
        now.__dict__ |= self.__dict__
        copies = {id(kind): replace(kind) for kind in self.kinds.values()}
        now.kinds = {key: copies[id(kind)] for key, kind in self.kinds.items()}
        now.kept = [(number, request, copies[id(kind)]) for number, request, kind in self.kept]
        return now

    @property
    def start(self) -> float | None:
        return self.first

    @property
    def end(self) -> float | None:
        return self.last

    @property
    def total(self) -> int:
        return self.ended

    @property
    def thinned(self) -> bool:
        return self.every > 1

    def rows(self) -> Iterator[tuple[Request, Result | None, int | None]]:
        also = self._also()
        for _, request, kind in self.kept:
            first = kind.first is request
            yield request, kind.result, kind.count - len(also.get(id(kind), ())) if first else None

    def answers(self, sample: str) -> Iterator[Answered]:
        also = self._also()
        for kind in self.kinds.values():
            if kind.first.sample == sample and kind.result is not None:
                yield Answered(kind.first, kind.result, kind.count, tuple(also.get(id(kind), ())))

    def _also(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for _, request, kind in self.kept:
            if kind.first is not request:
                found.setdefault(id(kind), []).append(request.task_id)
        return found


def cycles(samples: list[Sample], load: LoadConfig, trial: int) -> Iterator[Request]:
    """The requests of a run over and over, numbered on, in an order of its own each time where they are shuffled."""
    number = count()
    for turn in count():
        for request in plan(samples, replace(load, seed=load.seed and load.seed + turn), trial):
            yield replace(request, number=next(number))


async def run(
    requests: Iterator[Request],
    lanes: int,
    seconds: float,
    url: str,
    load: LoadConfig,
    record: Record,
    save: Callable[[Record], Awaitable[None]],
    save_s: float,
    way: ConnectionOptions = OPEN,
    room: int | None = None,
    ended: Callable[[], None] = lambda: None,
) -> None:
    """Keep `lanes` requests going; after `seconds` no new one begins. Each may take load.timeout. A lane goes on with
    the next request when the outcome of one is known, and of connections `room` are open at most. What was recorded is
    saved every `save_s` seconds; `ended` is called when a request was recorded. Raises what is no failure of the
    server but ours."""
    until = time.monotonic() + seconds
    rooms, under_way = asyncio.Semaphore(room or sys.maxsize), set[asyncio.Task[None]]()
    connections = Connections(load.reuse)

    async def one(request: Request, on_end: Callable[[], None]) -> None:
        try:
            async with rooms:
                performing = perform(request, url, load, lambda request: None, way, on_end, connections)
                await asyncio.wait_for(performing, load.timeout)
        except asyncio.TimeoutError:
            if request.final is None:
                request.error = timed_out(request, load)
        finally:
            on_end()
        record.add(request)
        ended()

    async def lane() -> None:
        while time.monotonic() < until:
            request, known = next(requests), asyncio.Event()
            under_way.add(asyncio.create_task(one(request, known.set)))
            await known.wait()
            for task in [task for task in under_way if task.done()]:
                under_way.discard(task)
                task.result()
            if not request.ok:
                await asyncio.sleep(min(REST_S, max(0.0, until - time.monotonic())))

    lag, began = Lag(), time.process_time()

    def counted() -> None:
        record.cpu_s, record.max_loop_lag_s = time.process_time() - began, lag.longest
        record.connections, record.handshakes_s = connections.opened, connections.handshakes_s

    async def saving() -> None:
        while True:
            await asyncio.sleep(save_s)
            counted()
            await save(record.snapshot())

    watching, saver = asyncio.create_task(lag.watch()), asyncio.create_task(saving())
    working: asyncio.Future[Any] = asyncio.gather(*(lane() for _ in range(lanes)))
    beside: tuple[asyncio.Future[Any], ...] = (saver, watching)
    try:
        await asyncio.wait((working, *beside), return_when=asyncio.FIRST_COMPLETED)
        if saver.done():  # only by an error
            saver.result()
        await working
        counted()
        await asyncio.gather(*under_way)
    finally:
        for task in (working, *beside, *under_way):
            task.cancel()
        await asyncio.gather(working, *beside, *under_way, return_exceptions=True)
        await connections.close()
