"""The pool behind the gateway: N workers, each with a pipe. The supervisor (see core) decides what is to be done; it is
carried out here, with processes, pipes and the clock.

No queue is shared between processes: killing a worker that holds such a queue's lock would hang the others. Each
worker has a thread that writes to its pipe and one that reads from it (see wire); everything else happens on the event
loop. A launcher starts the workers: see process, prefork, thread and ray_launcher.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from capsexp.errors import ServerError
from capsexp.segments import Segment
from capsexp.server.core.life import Act, Broken, Died, GivesUp, Kill, Start, State, Waits
from capsexp.server.core.order import Flow
from capsexp.server.core.scheduler import Admitted, Given, Scheduler
from capsexp.server.core.supervisor import Supervisor
from capsexp.server.messages import Done, Measure, Measured, Skip, Skipped, Started, WorkerReady
from capsexp.server.pools.answers import invalid_reply
from capsexp.server.pools.base import Launcher, PendingWork, Recognized, RetriesExhausted, WorkerInfo
from capsexp.server.pools.running import Endings, Running, deliver, each_mb, end, fail, gone, job, name_of, said
from capsexp.server.pools.wire import Wire
from capsexp.server.spawn_reserve import SpawnReserve, is_passing

if TYPE_CHECKING:
    from capsexp.engines.base import About

log = logging.getLogger(__name__)


class WorkerPool:
    """N workers and the scheduler before them.

    `on_event(what, info)` is called when a worker has `started`, is `ready`, has `died`, or is `waiting` because it
    cannot be started now. `fits(count, each_mb)`: how many of `count` workers fit into memory, called once the first
    has loaded. `patience(work)`: seconds that a worker may take for a piece of work before it counts as stuck;
    `load_patience`: seconds that it may take to load. The memory of a segment of `longest_s` seconds is measured
    before `fits` is called, unless `ample(count, each_mb)` holds. `scheduled(count)` makes the scheduler."""

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        max_retries: int,
        on_event: Callable[[str, WorkerInfo], None] = lambda what, info: None,
        fits: Callable[[int, float], int] = lambda count, each_mb: count,
        patience: Callable[[Segment | str | Measure], float] = lambda work: 3600.0,
        load_patience: float = 3600.0,
        longest_s: float = 1.0,
        ample: Callable[[int, float], bool] = lambda count, each_mb: True,
        scheduled: Callable[[int], Scheduler[PendingWork]] = lambda count: Scheduler(count, 4 * count),
    ) -> None:
        self.count = count
        self.about: About = {}  # what the engine says of itself
        self._launcher, self._on_event, self._fits, self._patience = launcher, on_event, fits, patience
        self._scheduled, self._longest_s, self._ample = scheduled, longest_s, ample
        self._reserve = SpawnReserve()
        self._endings = Endings()
        self._workers: list[Running] = []
        self._supervisor: Supervisor[PendingWork] = Supervisor(
            scheduled(count), max_retries, lambda ticket: patience(ticket.work), load_patience
        )
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.broken = asyncio.Event()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reserve.take()
        (first,) = await self._begin([Running(0)])
        if self.count > 1:
            self.count = self._fits(self.count, await self._each_mb(first))
            await self._until_ready([first])
            self._supervisor.settle(self._scheduled(self.count))
        self._launcher.settle(self.count)
        await self._begin([Running(number) for number in range(1, self.count)])
        self._supervisor.begun = True

    async def _begin(self, workers: list[Running]) -> list[Running]:
        """Start workers for the first time; raises ServerError."""
        for worker in workers:
            try:
                self._spawn(worker)
            except (OSError, RuntimeError, MemoryError) as error:
                if not is_passing(error):
                    raise
                raise ServerError(
                    f"worker {worker.number} cannot be started: {said(error)}; lower `workers`, or raise what the "
                    "system allows (ulimit -n, ulimit -u, memory)"
                ) from None
        self._go_on()
        await self._until_ready(workers)
        return workers

    async def _each_mb(self, first: Running) -> float:
        """What a further worker takes; infinite when the first one did not get through the longest segment."""
        small = self._launcher.each_mb(first.hand, Measured(0.0, 0.0))
        if self._ample(self.count, small):
            return small
        log.info("memory may not suffice for %d workers: measuring a segment of %g s", self.count, self._longest_s)
        work, first.asked = Measure(self._longest_s), True
        first.wire.put(work)
        self._supervisor.watch(0, self._patience(work), self._loop.time())
        self._go_on()
        while first.measured is None and first.asked:
            self._changed.clear()
            await self._changed.wait()
        self._supervisor.arm(0, self._loop.time())
        return each_mb(self._launcher, first, self._longest_s)

    @property
    def scheduler(self) -> Scheduler[PendingWork]:
        return self._supervisor.scheduler

    @property
    def reason(self) -> str:
        """Why the pool gave up, once `broken` is set."""
        return self._supervisor.broken or ""

    def submit(
        self, work: Segment | str, flow: Flow | None = None, on_admitted: Callable[[], object] = lambda: None
    ) -> asyncio.Future[Recognized]:
        ticket = PendingWork(
            flow or Flow(), isinstance(work, str), work=work, queued=time.monotonic(),
            future=self._loop.create_future(), on_admitted=on_admitted,
        )  # fmt: skip
        if self._supervisor.broken:
            ticket.future.set_exception(ServerError(self._supervisor.broken))
        else:
            ticket.future.add_done_callback(lambda future: self._left(ticket))
            self.scheduler.submit(ticket)
            self._go_on()
        return ticket.future

    def workers(self) -> list[WorkerInfo]:
        return [self._info(w) for w in self._workers]

    async def stop(self, grace: float) -> None:
        self._stopping = True
        hands = [w.hand for w in self._workers]
        if self._timer is not None:
            self._timer.cancel()
        for worker in self._workers:
            worker.wire.finish()
        # What is half done or still loading is lost anyway: no need to wait for it.
        await end(hands, grace if all(self._is(w, State.READY) for w in self._workers) else 0.0, grace)
        self._reserve.drop()
        self._launcher.terminate()
        served = any(w.open and self._is(w, State.READY, State.BUSY) for w in self._workers[:1])
        if not await gone([self._launcher], grace if served else 0.0):
            self._launcher.kill()
            await gone([self._launcher], grace)
        for ticket in self.scheduler.unfinished():
            ticket.future.cancel()
        await gone([w.wire for w in self._workers], grace)

    def _info(self, worker: Running) -> WorkerInfo:
        reason = self._supervisor.lives[worker.number].reason
        return WorkerInfo(worker.number, worker.hand.pid, worker.load_s, reason, worker.cpus)

    def _is(self, worker: Running, *states: State) -> bool:
        return self._supervisor.lives[worker.number].state in states

    def _left(self, ticket: PendingWork) -> None:
        """Its future is done. When that is because nobody wants it any more, nobody is to work on it either."""
        if self._stopping:
            return
        if not ticket.future.cancelled():
            self.scheduler.over(ticket)
        elif (given := self.scheduler.withdraw(ticket)) is not None:
            worker, number = given
            self._workers[worker].wire.put(Skip(number))
        self._go_on()

    # Coming to life.

    def _spawn(self, worker: Running) -> None:
        """Raises what the system raises when it has no room, and leaves nothing half started."""
        with self._reserve:
            hand = worker.hand = self._launcher.start(worker.number)
        try:
            worker.wire = Wire(
                hand.pipe,
                lambda message: self._call(self._received, worker, message),
                lambda: self._call(self._ended, worker),
            )
        except RuntimeError:  # no thread to be had
            hand.kill()
            raise
        worker.open, worker.asked = True, False
        if worker not in self._workers:
            self._workers.append(worker)
        self._supervisor.started(worker.number, self._loop.time(), hand.pid)
        if hand.pid is not None:
            self._on_event("started", self._info(worker))

    async def _until_ready(self, workers: list[Running]) -> None:
        while not all(self._is(w, State.READY, State.BUSY) for w in workers):
            dead = next((w for w in workers if not w.open), None)
            if dead:
                reason = self._supervisor.lives[dead.number].reason or dead.hand.ended()
                raise ServerError(f"worker {dead.number} ended while loading: {reason}")
            self._changed.clear()
            await self._changed.wait()

    def _call(self, act: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(act, *args)

    # What workers say.

    def _received(self, worker: Running, message: Any) -> None:
        life, now = self._supervisor.lives[worker.number], self._loop.time()
        flight = {number: ticket.work for number, ticket in self.scheduler.flight[worker.number].items()}
        wrong = invalid_reply(message, life.loaded, flight, worker.asked)
        if wrong is not None:
            self._supervisor.failed(worker.number, f"worker {worker.number} sent an invalid answer: {wrong}")
        elif isinstance(message, Started):
            with self._reserve:
                worker.hand.pid = life.group = message.pid
            self._on_event("started", self._info(worker))
        elif isinstance(message, WorkerReady):
            self._supervisor.ready(worker.number, now)
            worker.load_s, self.about, worker.cpus = message.load_s, message.about, message.cpus
            self._endings.all_well()
            self._on_event("ready", self._info(worker))
        elif isinstance(message, Done):
            deliver(self._supervisor.answered(worker.number, now), worker, message)
        elif isinstance(message, Skipped):
            self._supervisor.answered(worker.number, now)
        elif isinstance(message, Measured) or (message.id is None and worker.asked):
            worker.measured, worker.asked = message, False
        elif message.id is None:
            self._supervisor.cannot_load(worker.number, message.reason, message.passing)
        else:
            self._supervisor.failed(worker.number, message.reason)
        self._changed.set()
        self._go_on()

    def _ended(self, worker: Running) -> None:
        worker.open = worker.asked = False
        worker.wire.finish()
        self._changed.set()
        if self._stopping:
            return
        how = self._supervisor.lives[worker.number].reason or self._endings.how(worker)
        if worker.hand.alive():  # it said what cannot be read, or ended its pipe and nothing else
            worker.hand.kill()
        self._supervisor.ended(worker.number, how, self._loop.time())
        self._go_on()

    # What is to be done.

    def _go_on(self) -> None:
        if self._stopping:
            return
        while acts := self._supervisor.turn(self._loop.time()):
            for act in acts:
                self._do(act)
        if self._timer is not None:
            self._timer.cancel()
        due = self._supervisor.due
        self._timer = None if due is None else self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._supervisor.tick(self._loop.time())
        self._go_on()

    def _do(self, act: Act[PendingWork]) -> None:
        if isinstance(act, Admitted):
            act.work.on_admitted()
        elif isinstance(act, GivesUp):
            why = f"{name_of(act.work.work)} failed {act.work.failures} times: {act.reason}"
            fail(act.work, RetriesExhausted(why, act.work.retries))
        elif isinstance(act, Broken):
            for ticket in self.scheduler.unfinished():
                fail(ticket, ServerError(act.reason))
            self.broken.set()
        else:
            self._do_to(self._workers[act.worker], act)

    def _do_to(self, worker: Running, act: Given[PendingWork] | Start | Kill | Died | Waits) -> None:
        if isinstance(act, Given):
            worker.wire.put(job(act.number, act.work.work))
        elif isinstance(act, Start):
            self._respawn(worker)
        elif isinstance(act, Kill):
            (worker.hand if worker.hand.pid is not None else self._launcher).kill()  # which was to fork it
        else:
            self._on_event("died" if isinstance(act, Died) else "waiting", self._info(worker))

    def _respawn(self, worker: Running) -> None:
        try:
            self._spawn(worker)
        except (OSError, RuntimeError, MemoryError) as error:
            reason = f"cannot be started now: {said(error)}"
            self._supervisor.refused(worker.number, reason, is_passing(error), self._loop.time())
