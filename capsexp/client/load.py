"""The load that a set of requests makes: all at once, or so many at a time."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from capsexp.client.request import OPEN, Request, Way, perform
from capsexp.config import LoadConfig, repeat_count
from capsexp.protocol import Result
from capsexp.samples import Sample

LAG_EVERY_S = 0.05
TIMED_OUT = "not finished within load.timeout"  # begins the error of a request that was given up


@dataclass
class Outcome:
    """`max_loop_lag_s`: the longest the client itself kept a result waiting. `cpu_s`: CPU seconds of its process."""

    requests: list[Request]
    cpu_s: float
    max_loop_lag_s: float

    @property
    def start(self) -> float | None:
        return min((r.start for r in self.requests if r.start is not None), default=None)

    @property
    def end(self) -> float | None:
        return max((r.final for r in self.requests if r.final is not None), default=None)

    @property
    def total(self) -> int:
        return len(self.requests)

    @property
    def thinned(self) -> bool:
        """Whether rows() leaves any out."""
        return False

    def rows(self) -> Iterator[tuple[Request, Result | None, int | None]]:
        """Each request, its answer, and how many it stands for (None: itself)."""
        return ((r, r.result, None) for r in self.requests)

    def answers(self, sample: str) -> Iterator[tuple[Request, Result, dict[str, Any]]]:
        """The final results of a sample, each with what else is to be noted of it."""
        return ((r, r.result, {}) for r in self.requests if r.sample == sample and r.result is not None)


def order_seed(load: LoadConfig, trial: int) -> int:
    """0: as listed. Each trial has an order of its own, the same for all configurations, so that a lucky order
    favours none of them."""
    return load.seed + trial - 1 if load.seed else 0


def plan(samples: list[Sample], load: LoadConfig, trial: int = 1) -> list[Request]:
    """Every sample `repeats` times (once where nobody has decided how often), in the order listed or shuffled by `seed`
    and trial."""
    order = [sample for _ in range(repeat_count(load.repeats) or 1) for sample in samples]
    seed = order_seed(load, trial)
    if seed:
        random.Random(seed).shuffle(order)
    return [Request(number, str(uuid.uuid4()), sample.name, sample.audio) for number, sample in enumerate(order)]


async def run(
    requests: list[Request],
    url: str,
    load: LoadConfig,
    on_result: Callable[[Request], None] = lambda request: None,
    way: Way = OPEN,
    room: int | None = None,
) -> Outcome:
    """Perform all requests within `load.timeout`; what is then unfinished fails. A request holds its place until its
    outcome is known, its connection (of which there is `room` for so many) until that is closed. Raises what is no
    failure of the server but ours."""
    everybody = max(1, len(requests))
    places, connections = (asyncio.Semaphore(most or everybody) for most in (load.concurrency, room))
    outcome, lag = Outcome(requests, 0.0, 0.0), Lag()
    cpu = time.process_time()

    def ended() -> None:
        places.release()
        outcome.cpu_s, outcome.max_loop_lag_s = time.process_time() - cpu, lag.longest

    async def one(request: Request) -> None:
        await places.acquire()
        on_end = once(ended)
        try:
            async with connections:
                await perform(request, url, load, on_result, way, on_end)
        finally:
            on_end()

    watching = asyncio.create_task(lag.watch())
    jobs = [asyncio.create_task(one(request)) for request in requests]
    try:
        if jobs:
            done, _ = await asyncio.wait(jobs, timeout=load.timeout, return_when=asyncio.FIRST_EXCEPTION)
            for job in done:
                job.result()
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        watching.cancel()
    for request in requests:
        if request.final is None and request.error is None:
            request.error = timed_out(load)
    return outcome


def timed_out(load: LoadConfig) -> str:
    return f"{TIMED_OUT} = {load.timeout:g} s"


def once(act: Callable[[], None]) -> Callable[[], None]:
    """`act`, which a second call does not repeat."""
    left = [act]
    return lambda: left.pop()() if left else None


class Lag:
    """The longest that the loop kept anybody waiting, in seconds."""

    longest = 0.0

    async def watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            self.longest = max(self.longest, time.monotonic() - began - LAG_EVERY_S)
