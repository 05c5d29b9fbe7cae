"""The dispatcher behind the front: N workers, a pipe each, and every segment on one of them until it is done.

No queue is shared between processes: killing a worker that holds such a queue's lock would hang the others. Each
worker has one thread that writes to its pipe (a segment is larger than a pipe's buffer) and one that reads from it;
everything else happens on the event loop. How workers come to life is the launcher's: see process, prefork, thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from capsexp.errors import ServerError
from capsexp.segments import Segment
from capsexp.server.pools.base import Hand, Launcher, Outcome, Ticket, WorkerInfo
from capsexp.server.worker import Done, Failed, Job, Ready, Started, TextJob

IN_FLIGHT = 2  # one recognized, one waiting in the worker, so that it never waits for a copy
GIVE_UP = 3  # respawned workers in a row that died before they were ready


class _Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        self.hand: Hand | None = None
        self.open = False  # its pipe
        self.outbox: queue.SimpleQueue[Job | TextJob | None] = queue.SimpleQueue()
        self.flight: dict[int, Ticket] = {}  # in the order sent
        self.own: deque[Ticket] = deque()  # for this worker only
        self.ready = False
        self.load_s: float | None = None
        self.reason = ""
        self.deadline: asyncio.TimerHandle | None = None  # of the first in flight


class WorkerPool:
    """`on_event` is told of each worker that starts, is ready or dies; `fits(count, each_mb)` says how many workers
    fit once the first has loaded; `patience(work)` is how long one may take, in seconds, before its worker counts
    as stuck."""

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        max_retries: int,
        on_event: Callable[[str, WorkerInfo], None] = lambda what, info: None,
        fits: Callable[[int, float], int] = lambda count, each_mb: count,
        patience: Callable[[Segment | str], float] = lambda work: 3600.0,
    ) -> None:
        self.count = count
        self.about: dict[str, Any] = {}  # what the engine says of itself
        self._launcher, self._max_retries = launcher, max_retries
        self._on_event, self._fits, self._patience = on_event, fits, patience
        self._workers: list[_Worker] = []
        self._waiting: deque[Ticket] = deque()
        self._next_id = 0
        self._stopping = False
        self._failed_starts = 0
        self._broken: str | None = None
        self._changed = asyncio.Event()
        self.broken = asyncio.Event()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        first = self._spawn(_Worker(0))
        await self._until_ready([first])
        if self.count > 1:
            self.count = self._fits(self.count, self._launcher.each_mb(_hand(first)))
        rest = [self._spawn(_Worker(number)) for number in range(1, self.count)]
        await self._until_ready(rest)

    @property
    def reason(self) -> str:
        """Why the pool gave up, once `broken` is set."""
        return self._broken or ""

    def submit(self, work: Segment | str, worker: int | None = None) -> asyncio.Future[Outcome]:
        ticket = Ticket(work, worker, time.monotonic(), self._loop.create_future())
        if self._broken:
            ticket.future.set_exception(ServerError(self._broken))
        else:
            if isinstance(work, str):
                self._queue_of(ticket).appendleft(ticket)
            else:
                self._queue_of(ticket).append(ticket)
            self._dispatch()
        return ticket.future

    def workers(self) -> list[WorkerInfo]:
        return [self._info(w) for w in self._workers]

    async def stop(self, grace: float) -> None:
        self._stopping = True
        hands = [w.hand for w in self._workers if w.hand is not None]
        for worker in self._workers:
            worker.outbox.put(None)
            if worker.open and not worker.flight:
                _half_close(_hand(worker).pipe)
        # What is half done or still loading is lost anyway: no need to wait for it.
        patience = 0.0 if any(w.flight or not w.ready for w in self._workers) else grace
        if not await _gone(hands, patience):
            for act in ("terminate", "kill"):
                for hand in hands:
                    if hand.alive():
                        getattr(hand, act)()
                if await _gone(hands, grace):
                    break
        self._launcher.terminate()
        if not await _gone([self._launcher], grace if self._workers and self._workers[0].ready else 0.0):
            self._launcher.kill()
            await _gone([self._launcher], grace)
        for worker in self._workers:
            for ticket in [*worker.flight.values(), *worker.own]:
                ticket.future.cancel()
            if worker.open:
                _hand(worker).pipe.close()
            self._disarm(worker)
        for ticket in self._waiting:
            ticket.future.cancel()

    def _info(self, worker: _Worker) -> WorkerInfo:
        state = "ready" if worker.ready else ("loading" if worker.open else "dead")
        pid = worker.hand.pid if worker.hand is not None else None
        return WorkerInfo(worker.number, pid, state, worker.load_s, len(worker.flight) + len(worker.own))

    def _queue_of(self, ticket: Ticket) -> deque[Ticket]:
        return self._waiting if ticket.worker is None else self._workers[ticket.worker % len(self._workers)].own

    def _spawn(self, worker: _Worker) -> _Worker:
        worker.hand = self._launcher.start(worker.number)
        worker.open, worker.ready, worker.reason = True, False, ""
        worker.outbox = queue.SimpleQueue()
        if worker not in self._workers:
            self._workers.append(worker)
        threading.Thread(target=self._write, args=(worker.hand.pipe, worker.outbox), daemon=True).start()
        threading.Thread(target=self._read, args=(worker, worker.hand.pipe), daemon=True).start()
        if worker.hand.pid is not None:
            self._on_event("started", self._info(worker))
        return worker

    async def _until_ready(self, workers: list[_Worker]) -> None:
        while not all(w.ready for w in workers):
            dead = next((w for w in workers if not w.ready and not w.open), None)
            if dead:
                raise ServerError(f"worker {dead.number} ended while loading: {dead.reason or _hand(dead).ended()}")
            self._changed.clear()
            await self._changed.wait()

    def _write(self, pipe: Connection, outbox: queue.SimpleQueue[Job | TextJob | None]) -> None:
        while (job := outbox.get()) is not None:
            try:
                pipe.send(job)
            except OSError:
                return  # the reader sees the end of the pipe and takes care

    def _read(self, worker: _Worker, pipe: Connection) -> None:
        while True:
            try:
                message = pipe.recv()
            except Exception:  # EOF, a reset, or half a message of a worker killed while it wrote
                break
            self._call(self._received, worker, message)
        self._call(self._ended, worker, pipe)

    def _call(self, act: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(act, *args)

    def _received(self, worker: _Worker, message: Started | Ready | Done | Failed) -> None:
        if isinstance(message, Started):
            _hand(worker).pid = message.pid
            self._on_event("started", self._info(worker))
        elif isinstance(message, Ready):
            worker.ready, worker.load_s, self._failed_starts = True, message.load_s, 0
            self.about = message.about
            self._on_event("ready", self._info(worker))
            self._changed.set()
        elif isinstance(message, Done):
            ticket = worker.flight.pop(message.id)
            if not ticket.future.done():
                ticket.future.set_result(
                    Outcome(
                        message.heard,
                        worker.number,
                        _hand(worker).pid or 0,
                        ticket.queued,
                        message.started,
                        message.finished,
                        ticket.retries,
                    )
                )
        elif message.id is None:
            worker.reason = message.reason
        else:
            self._retry(worker.flight.pop(message.id), message.reason)
        self._arm(worker)
        self._dispatch()

    def _ended(self, worker: _Worker, pipe: Connection) -> None:
        pipe.close()
        worker.open, was_ready, worker.ready = False, worker.ready, False
        worker.outbox.put(None)
        self._disarm(worker)
        how = worker.reason or _hand(worker).ended()
        self._changed.set()
        if self._stopping:
            return
        self._on_event("died", self._info(worker))
        flight, worker.flight = list(worker.flight.values()), {}
        for ticket in reversed(flight[1:]):  # was only waiting there: no retry of its own
            self._queue_of(ticket).appendleft(ticket)
        if flight:
            self._retry(flight[0], f"worker {worker.number} died ({how})")
        if not was_ready:
            self._failed_starts += 1
            if worker.load_s is None:
                return  # never ready: start() reports it
        if self._failed_starts >= GIVE_UP:
            self._break(f"{GIVE_UP} workers in a row ended while loading: {how}")
        else:
            self._spawn(worker)
            self._dispatch()

    def _arm(self, worker: _Worker) -> None:
        """Watch the clock for the segment that is being recognized."""
        self._disarm(worker)
        if worker.flight:
            limit = self._patience(next(iter(worker.flight.values())).work)
            worker.deadline = self._loop.call_later(limit, self._stuck, worker, limit)

    def _disarm(self, worker: _Worker) -> None:
        if worker.deadline is not None:
            worker.deadline.cancel()
            worker.deadline = None

    def _stuck(self, worker: _Worker, limit: float) -> None:
        worker.reason = f"no answer within {limit:.1f} s"
        _hand(worker).kill()  # its pipe ends, and the rest is as for any worker that died

    def _retry(self, ticket: Ticket, reason: str) -> None:
        ticket.retries += 1
        if ticket.future.done():
            return
        if ticket.retries > self._max_retries:
            ticket.future.set_exception(ServerError(f"{_name(ticket.work)} failed {ticket.retries} times: {reason}"))
        else:
            self._queue_of(ticket).appendleft(ticket)

    def _break(self, reason: str) -> None:
        self._broken = reason
        for ticket in [*self._waiting, *(t for w in self._workers for t in (*w.own, *w.flight.values()))]:
            if not ticket.future.done():
                ticket.future.set_exception(ServerError(reason))
        self.broken.set()

    def _dispatch(self) -> None:
        """Give each free place the next segment: its own first, then anybody's."""
        for depth in range(IN_FLIGHT):
            for worker in self._workers:
                if not worker.ready or len(worker.flight) != depth:
                    continue
                # A second one only while every other worker will find one too: at the end of the load a segment
                # must not wait behind a busy worker while another idles.
                shared = depth == 0 or len(self._waiting) >= len(self._workers)
                ticket = _pop(worker.own) or (_pop(self._waiting) if shared else None)
                if ticket is None:
                    continue
                self._next_id += 1
                worker.flight[self._next_id] = ticket
                if depth == 0:
                    self._arm(worker)
                worker.outbox.put(_job(self._next_id, ticket.work))


def _job(number: int, work: Segment | str) -> Job | TextJob:
    if isinstance(work, str):
        return TextJob(number, work)
    return Job(number, work.audio, work.start, work.shared)


def _name(work: Segment | str) -> str:
    return "the punctuation" if isinstance(work, str) else f"segment {work.index}"


def _pop(waiting: deque[Ticket]) -> Ticket | None:
    while waiting:
        ticket = waiting.popleft()
        if not ticket.future.done():  # its client has gone
            return ticket
    return None


def _hand(worker: _Worker) -> Hand:
    assert worker.hand is not None
    return worker.hand


async def _gone(these: Sequence[Hand | Launcher], patience: float) -> bool:
    """Whether none of these is alive any more, within so many seconds."""
    deadline = time.monotonic() + patience
    while any(one.alive() for one in these):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def _half_close(pipe: Connection) -> None:
    """Tell the worker that nothing more will come; it answers what it has and ends."""
    with contextlib.suppress(OSError, AttributeError), socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.shutdown(socket.SHUT_WR)
