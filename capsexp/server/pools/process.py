"""N spawned processes, each with its own model and its own pipe.

No queue is shared between processes: killing a worker that holds such a queue's lock would hang the others. Each
worker has one thread that writes to its pipe (a segment is larger than a pipe's buffer) and one that reads from it;
everything else happens on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

from capsexp.errors import RunRefused, ServerError
from capsexp.machine import available_mb, total_mb
from capsexp.segments import Segment
from capsexp.server import worker as worker_process
from capsexp.server.pools.base import Outcome, Ticket, WorkerInfo
from capsexp.server.worker import Done, Failed, Job, Ready

IN_FLIGHT = 2  # one recognized, one waiting in the worker, so that it never waits for a copy
GIVE_UP = 3  # respawned workers in a row that died before they were ready


class _Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        self.process: Any = None
        self.pipe: Connection | None = None
        self.outbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.flight: dict[int, Ticket] = {}  # in the order sent
        self.own: deque[Ticket] = deque()  # for this worker only
        self.ready = False
        self.load_s: float | None = None
        self.reason = ""


class ProcessPool:
    """`on_event` is told of each worker that starts, is ready or dies; `fits(used_mb)` says how many workers fit once
    the first has loaded (`used_mb` is what it took)."""

    def __init__(
        self,
        count: int,
        settings: dict[str, Any],
        threads: int,
        max_retries: int,
        on_event: Callable[[str, WorkerInfo], None] = lambda what, info: None,
        fits: Callable[[int, float], int] = lambda count, used_mb: count,
    ) -> None:
        self.count = count
        self._settings, self._threads, self._max_retries = settings, threads, max_retries
        self._on_event, self._fits = on_event, fits
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
            self.count = self._fits(self.count, _uss_mb(first.process.pid))
        rest = [self._spawn(_Worker(number)) for number in range(1, self.count)]
        await self._until_ready(rest)

    @property
    def reason(self) -> str:
        """Why the pool gave up, once `broken` is set."""
        return self._broken or ""

    def submit(self, segment: Segment, worker: int | None = None) -> asyncio.Future[Outcome]:
        ticket = Ticket(segment, worker, time.monotonic(), self._loop.create_future())
        if self._broken:
            ticket.future.set_exception(ServerError(self._broken))
        else:
            self._queue_of(ticket).append(ticket)
            self._dispatch()
        return ticket.future

    def workers(self) -> list[WorkerInfo]:
        return [self._info(w) for w in self._workers]

    async def stop(self, grace: float) -> None:
        self._stopping = True
        processes = [w.process for w in self._workers if w.process is not None]
        for worker in self._workers:
            worker.outbox.put(None)
            if worker.pipe is not None and not worker.flight:
                _half_close(worker.pipe)
        for patience, act in ((grace, "terminate"), (grace, "kill"), (grace, "")):
            deadline = time.monotonic() + (0.0 if act == "terminate" and self._busy() else patience)
            while any(p.is_alive() for p in processes) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            for process in processes:
                if process.is_alive() and act:
                    getattr(process, act)()
        for worker in self._workers:
            for ticket in [*worker.flight.values(), *worker.own]:
                ticket.future.cancel()
            if worker.pipe is not None:
                worker.pipe.close()
        for ticket in self._waiting:
            ticket.future.cancel()

    def _busy(self) -> bool:
        return any(w.flight for w in self._workers)

    def _info(self, worker: _Worker) -> WorkerInfo:
        state = "ready" if worker.ready else ("loading" if worker.process.is_alive() else "dead")
        return WorkerInfo(worker.number, worker.process.pid, state, worker.load_s, len(worker.flight) + len(worker.own))

    def _queue_of(self, ticket: Ticket) -> deque[Ticket]:
        return self._waiting if ticket.worker is None else self._workers[ticket.worker % len(self._workers)].own

    def _spawn(self, worker: _Worker) -> _Worker:
        # On the loop's thread: Linux ties the child's life to the thread that started it.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        worker.process = context.Process(
            target=worker_process.main,
            args=(theirs, self._settings, self._threads, os.getpid()),
            name=f"capsexp-worker-{worker.number}",
            daemon=True,
        )
        worker.process.start()
        theirs.close()
        worker.pipe, worker.ready, worker.reason = ours, False, ""
        worker.outbox = queue.SimpleQueue()
        if worker not in self._workers:
            self._workers.append(worker)
        threading.Thread(target=self._write, args=(ours, worker.outbox), daemon=True).start()
        threading.Thread(target=self._read, args=(worker, ours), daemon=True).start()
        self._on_event("started", self._info(worker))
        return worker

    async def _until_ready(self, workers: list[_Worker]) -> None:
        while not all(w.ready for w in workers):
            dead = next((w for w in workers if not w.ready and not w.process.is_alive() and w.pipe is None), None)
            if dead:
                raise ServerError(
                    f"worker {dead.number} ended while loading: {dead.reason or f'exit code {dead.process.exitcode}'}"
                )
            self._changed.clear()
            await self._changed.wait()

    def _write(self, pipe: Connection, outbox: queue.SimpleQueue[Job | None]) -> None:
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

    def _received(self, worker: _Worker, message: Ready | Done | Failed) -> None:
        if isinstance(message, Ready):
            worker.ready, worker.load_s, self._failed_starts = True, message.load_s, 0
            self._on_event("ready", self._info(worker))
            self._changed.set()
        elif isinstance(message, Done):
            ticket = worker.flight.pop(message.id)
            if not ticket.future.done():
                ticket.future.set_result(
                    Outcome(
                        message.heard,
                        worker.number,
                        worker.process.pid,
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
        self._dispatch()

    def _ended(self, worker: _Worker, pipe: Connection) -> None:
        pipe.close()
        worker.pipe, was_ready, worker.ready = None, worker.ready, False
        worker.outbox.put(None)
        worker.process.join(timeout=1)
        self._changed.set()
        if self._stopping:
            return
        self._on_event("died", self._info(worker))
        flight, worker.flight = list(worker.flight.values()), {}
        for ticket in reversed(flight[1:]):  # was only waiting there: no retry of its own
            self._queue_of(ticket).appendleft(ticket)
        if flight:
            self._retry(flight[0], f"worker {worker.number} died (exit code {worker.process.exitcode})")
        if not was_ready:
            self._failed_starts += 1
            if worker.load_s is None:
                return  # never ready: start() reports it
        if self._failed_starts >= GIVE_UP:
            self._break(f"{GIVE_UP} workers in a row ended while loading: {worker.reason or 'see the server log'}")
        else:
            self._spawn(worker)
            self._dispatch()

    def _retry(self, ticket: Ticket, reason: str) -> None:
        ticket.retries += 1
        if ticket.future.done():
            return
        if ticket.retries > self._max_retries:
            ticket.future.set_exception(
                ServerError(f"segment {ticket.segment.index} failed {ticket.retries} times: {reason}")
            )
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
                segment = ticket.segment
                worker.flight[self._next_id] = ticket
                worker.outbox.put(Job(self._next_id, segment.audio, segment.start, segment.shared))


def _pop(waiting: deque[Ticket]) -> Ticket | None:
    while waiting:
        ticket = waiting.popleft()
        if not ticket.future.done():  # its client has gone
            return ticket
    return None


def _half_close(pipe: Connection) -> None:
    """Tell the worker that nothing more will come; it answers what it has and ends."""
    import socket

    with contextlib.suppress(OSError, AttributeError), socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.shutdown(socket.SHUT_WR)


def _uss_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_full_info().uss) / 2**20
    except psutil.Error:
        return 0.0


def refuse_or_reduce(policy: str, warn: Callable[[str], None]) -> Callable[[int, float], int]:
    """How many of `count` workers fit once the first took `used_mb`; keeps a tenth of the memory free.

    Raises RunRefused when they do not all fit and `policy` is `refuse`.
    """

    def fits(count: int, used_mb: float) -> int:
        room_mb = available_mb() - 0.1 * total_mb()
        extra = count - 1 if used_mb <= 0 else max(0, min(count - 1, int(max(0.0, room_mb) // used_mb)))
        if extra == count - 1:
            return count
        line = f"{count} workers of {used_mb:.0f} MB do not fit into the {room_mb:.0f} MB that are free"
        if policy == "refuse":
            raise RunRefused(f"{line}; lower `workers` or set server.on_low_memory=reduce")
        warn(f"{line}; reduced to {1 + extra}")
        return 1 + extra

    return fits
