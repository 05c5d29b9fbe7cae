"""Sends a planned load: each request when it is due, those of one user one after another."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from capsexp import load as loads
from capsexp.client.connections import Connections
from capsexp.client.request import OPEN, ConnectionOptions, Request, misdelivered, perform
from capsexp.config import LoadConfig
from capsexp.errors import ConfigError
from capsexp.load.seeds import Seeds
from capsexp.protocol import Result
from capsexp.samples import Sample

LAG_EVERY_S = 0.05
LATE_EVERY_S = 0.25
TIMED_OUT = "not finished within load.timeout"  # begins the error of a request that was given up
UNANSWERED = "all audio was sent, but no answer came"  # and may end it


@dataclass(frozen=True)
class Answered:
    """A final result. `count`: how many requests were answered the same, this one included (None: it alone); `also`:
    task ids of the others among them that have a row."""

    request: Request
    result: Result
    count: int | None = None
    also: tuple[str, ...] = ()


@dataclass
class Outcome:
    """`max_loop_lag_s`: the longest the client itself kept a result waiting. `cpu_s`: CPU seconds of its process.
    `in_flight_s`: requests under way, summed over time as they began and ended. `connections` were opened, which took
    `handshakes_s` in all."""

    requests: list[Request]
    cpu_s: float
    max_loop_lag_s: float
    in_flight_s: float | None = None
    connections: int | None = None
    handshakes_s: float | None = None
    gave_up_at: float | None = None  # when the load was ended early
    unfinished: list[Request] = field(default_factory=list)

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

    def answers(self, sample: str) -> Iterator[Answered]:
        """The final results of a sample."""
        return (Answered(r, r.result) for r in self.requests if r.sample == sample and r.result is not None)


def plan(samples: list[Sample], load: LoadConfig, trial: int = 1) -> list[Request]:
    """The requests to come, those of a user in their order; raises ConfigError where there can be none."""
    clips = tuple(loads.Clip(sample.name, sample.duration_s) for sample in samples)
    return [
        Request(number, str(uuid.uuid4()), samples[turn.clip].name, samples[turn.clip].audio, turn=turn)
        for number, turn in enumerate(turns(clips, load, trial))
    ]


def turns(clips: tuple[loads.Clip, ...], load: LoadConfig, trial: int = 1) -> loads.Plan:
    """The turns that `plan` makes requests of, from the samples' names and lengths alone."""
    return loads.plan(load, loads.Given(clips, Seeds.of(load, trial), _text(load) if load.reads else ""))


def spread_s(load: LoadConfig) -> float:
    """Seconds over which its settings, and the file that it reads, spread its requests, whatever the samples are.
    Raises ConfigError."""
    return load.spread_s(_text(load) if load.reads else "")


def _text(load: LoadConfig) -> str:
    try:
        return Path(load.file or "").read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"load.{load.reads}={load.file}: cannot be read: {error}") from None


async def run(
    requests: list[Request],
    url: str,
    load: LoadConfig,
    on_result: Callable[[Request], None] = lambda request: None,
    way: ConnectionOptions = OPEN,
    room: int | None = None,
) -> Outcome:
    """Perform all requests within `load.timeout` seconds; those unfinished by then fail. Where the load is ended
    early (load.give_up_late), they are in `Outcome.unfinished` instead. A request holds its place (load.concurrency)
    until its outcome is known, and one of `room` connections (None: no bound) until that is closed. Raises
    HarnessError and other faults of the client; those of the server end up in `request.error`."""
    rooms = asyncio.Semaphore(room) if room else nullcontext()
    connections = Connections(load.reuse)
    places = {r.turn.kind: _places(r.turn.places, load.concurrency) for r in requests}
    outcome, lag, flight = Outcome(requests, 0.0, 0.0), Lag(), Flight()
    cpu, began = time.process_time(), time.monotonic()

    async def one(request: Request, on_known: Callable[[], None]) -> None:
        place, under_way = places[request.turn.kind], False
        if place is not None:
            await place.acquire()

        def ended() -> None:
            flight.change(-under_way)
            if place is not None:
                place.release()
            outcome.cpu_s, outcome.max_loop_lag_s = time.process_time() - cpu, lag.longest
            on_known()

        on_end = once(ended)
        try:
            async with rooms:
                under_way = True
                flight.change(+1)
                await perform(request, url, load, on_result, way, on_end, connections)
        finally:
            on_end()

    async def user(turns: list[Request]) -> None:
        moment, jobs = began, set[asyncio.Task[None]]()
        try:
            for request in turns:
                if request.turn.wait_s is not None:
                    request.due = moment + request.turn.wait_s
                    await asyncio.sleep(request.due - time.monotonic())
                known = asyncio.Event()
                jobs.add(asyncio.create_task(one(request, known.set)))
                await known.wait()
                moment = time.monotonic()
                for job in [job for job in jobs if job.done()]:
                    jobs.discard(job)
                    job.result()
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    watching = asyncio.create_task(lag.watch())
    users = [asyncio.create_task(user(turns)) for turns in _by_user(requests)]
    try:
        if users:
            ended = asyncio.create_task(_all_done(users, load.timeout))
            late = asyncio.create_task(_too_many_late(requests, load))
            await asyncio.wait({ended, late}, return_when=asyncio.FIRST_COMPLETED)
            late.cancel()
            if ended.done():
                ended.result()
            else:
                ended.cancel()
                outcome.gave_up_at = time.monotonic()
    finally:
        for one_user in users:
            one_user.cancel()
        await asyncio.gather(*users, return_exceptions=True)
        watching.cancel()
        await connections.close()
    outcome.in_flight_s = flight.sum_s
    outcome.connections, outcome.handshakes_s = connections.opened, connections.handshakes_s
    if outcome.gave_up_at is not None:
        outcome.unfinished = [r for r in requests if r.final is None and r.error is None and r.begun is not None]
        outcome.requests = [r for r in requests if r.final is not None or r.error is not None]
        return outcome
    for request in requests:
        if request.final is None and request.error is None:
            request.error = timed_out(request, load)
    return outcome


async def _all_done(users: list[asyncio.Task[None]], timeout: float) -> None:
    """Raises what one of them raised."""
    done, _ = await asyncio.wait(users, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
    for one in done:
        one.result()


async def _too_many_late(requests: list[Request], load: LoadConfig) -> None:
    """Until so many requests wait, or waited, for longer than load.give_up_s that the load may end."""
    users = of_each_user(requests, load.give_up_class)
    while not load.give_up_late or too_late(users, load.give_up_s) < load.give_up_late:
        await asyncio.sleep(LATE_EVERY_S)


def of_each_user(requests: list[Request], kind: str | None) -> list[list[Request]]:
    """Those of a class; None: of all."""
    users: dict[tuple[str, int], list[Request]] = defaultdict(list)
    for request in requests:
        if kind in (None, request.turn.kind):
            users[request.turn.kind, request.turn.user].append(request)
    return list(users.values())


def too_late(users: list[list[Request]], limit_s: float) -> int:
    """How many requests that an SLO judges are late. A user's first counts only where it is the only one, or while
    it is unanswered, as there may then never be another."""
    found = 0
    for first, *more in users:
        counts = not more or (first.final is None and first.error is None)
        found += (counts and late(first, limit_s)) + sum(late(r, limit_s) for r in more)
    return found


def late(request: Request, limit_s: float) -> bool:
    """Whether its text came, or is still missing, more than `limit_s` seconds after its audio ended (burst: after it
    was due). Never for a request that failed or has not begun."""
    since = request.stop if request.spoken else request.due
    if since is None or request.begun is None or request.error is not None:
        return False
    return (request.final or time.monotonic()) - since > limit_s


def _places(own: int, all_of_them: int) -> asyncio.Semaphore | None:
    bounds = [bound for bound in (own, all_of_them) if bound]
    return asyncio.Semaphore(min(bounds)) if bounds else None


def _by_user(requests: list[Request]) -> list[list[Request]]:
    """Requests that nobody planned are each a user's own."""
    found: dict[tuple[int, int], list[Request]] = defaultdict(list)
    for request in requests:
        alone = request.turn.wait_s is None
        found[(request.turn.user, request.number if alone else -1)].append(request)
    return list(found.values())


def timed_out(request: Request, load: LoadConfig) -> str:
    """With how far it had come: a server that is slow is told from one that never answers, or takes no more."""
    if request.begun is None:
        how_far = "it had not begun"
    elif request.sent is None:
        how_far = "the server did not take all of its audio" if request.start is not None else "nothing of it was sent"
    elif request.results or request.partials:
        how_far = "partial texts came, but no final one"
    elif request.foreign:
        how_far = misdelivered(request, "nothing more")
    else:
        how_far = UNANSWERED
    return f"{TIMED_OUT} = {load.timeout:g} s: {how_far}"


def once(act: Callable[[], None]) -> Callable[[], None]:
    """`act`, which a second call does not repeat."""
    left = [act]
    return lambda: left.pop()() if left else None


class Flight:
    """How many requests are under way, summed over time."""

    sum_s, now, since = 0.0, 0, 0.0

    def change(self, by: int) -> None:
        at = time.monotonic()
        self.sum_s += self.now * (at - self.since)
        self.now, self.since = self.now + by, at


class Lag:
    """The longest that the loop kept anybody waiting, in seconds."""

    longest = 0.0

    async def watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            self.longest = max(self.longest, time.monotonic() - began - LAG_EVERY_S)
