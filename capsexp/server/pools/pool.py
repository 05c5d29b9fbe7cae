"""The dispatcher behind the gateway: N workers, a pipe each, and every segment on one of them until it is done.

No queue is shared between processes: killing a worker that holds such a queue's lock would hang the others. Each
worker has a thread that writes to its pipe and one that reads from it (see wire); everything else happens on the event
loop. How workers come to life is the launcher's: see process, prefork, thread.

A worker that dies, stands still, raises or says what cannot be true is replaced. The segment that it was recognizing
has failed and is given to another; those that only waited there are innocent. Where several workers share a process,
nobody knows which segment took it down: each of them is then recognized alone, so that it shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from capsexp import cgroup
from capsexp.errors import ServerError
from capsexp.segments import Segment
from capsexp.server.core.order import Flow
from capsexp.server.core.scheduler import Admitted, Scheduler
from capsexp.server.messages import Done, Failed, Job, Measure, Measured, Ready, Skip, Skipped, Started, TextJob
from capsexp.server.pools.answers import nonsense
from capsexp.server.pools.base import GaveUp, Hand, Launcher, Outcome, Ticket, WorkerInfo
from capsexp.server.pools.wire import Wire
from capsexp.server.reserve import Reserve, is_passing

GIVE_UP = 3  # times in a row that every worker ended before it was ready: nothing is going to change that
BACKOFF_S, MOST_BACKOFF_S = 0.5, 30.0  # before a worker that did not become ready is started again: doubled each time
LOADS = 5  # times as long as the longest load so far, and START_S more: then a worker that loads counts as stuck
START_S = 5.0
ASLEEP_S = 1.0  # that a timer is late: then it was not the worker alone that stood still

log = logging.getLogger(__name__)


class _Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        self.hand: Hand | None = None
        self.wire: Wire | None = None
        self.open = False  # nobody has seen the end of its pipe
        self.born = 0.0
        self.ready = False  # takes segments
        self.loaded = False  # was ready in this life
        self.spared = False  # why it ends is known, or not its segments' fault
        self.failures = 0  # lives in a row that ended before it was ready
        self.refused = 0  # times in a row that the system had no room for it: its failures are others
        self.passing = False  # why it ends is that
        self.asked = False  # to measure a segment
        self.measured: Measured | Failed | None = None
        self.load_s: float | None = None
        self.reason = ""
        self.timer: asyncio.TimerHandle | None = None  # of what it does: load, recognize the first in flight, or wait


class WorkerPool:
    """`on_event` is told of each worker that starts, is ready or dies; `fits(count, each_mb)` says how many workers
    fit once the first has loaded; `patience(work)` is how long one may take, in seconds, before its worker counts
    as stuck, `load_patience` how long it may load. What a segment of `longest_s` takes is measured before workers are
    counted, unless `ample(count, each_mb)` says that it makes no difference. `scheduled(count)` says who gets what."""

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
        scheduled: Callable[[int], Scheduler[Ticket]] = lambda count: Scheduler(count, 4 * count),
    ) -> None:
        self.count = count
        self.about: dict[str, Any] = {}  # what the engine says of itself
        self._launcher, self._max_retries = launcher, max_retries
        self._on_event, self._fits, self._patience, self._load_patience = on_event, fits, patience, load_patience
        self._longest_s, self._ample = longest_s, ample
        self._reserve = Reserve()
        self._oom_kills = cgroup.oom_kills()
        self._workers: list[_Worker] = []
        self._scheduled = scheduled
        self.scheduler = scheduled(count)
        self._longest_load = 0.0
        self._begun = False  # all have loaded once, together: how long that takes is known from then on
        self._stopping = False
        self._broken: str | None = None
        self._changed = asyncio.Event()
        self.broken = asyncio.Event()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reserve.take()
        (first,) = await self._begin([_Worker(0)])
        if self.count > 1:
            self.count = self._fits(self.count, await self._each_mb(first))
            await self._until_ready([first])
            self.scheduler = self._scheduled(self.count)
            self.scheduler.open(0)
        self._launcher.settle(self.count)
        await self._begin([_Worker(number) for number in range(1, self.count)])
        self._begun = True

    async def _begin(self, workers: list[_Worker]) -> list[_Worker]:
        """Start workers for the first time; raises ServerError."""
        for worker in workers:
            try:
                self._spawn(worker)
            except (OSError, RuntimeError, MemoryError) as error:
                if not is_passing(error):
                    raise
                raise ServerError(
                    f"worker {worker.number} cannot be started: {_said(error)}; lower `workers`, or raise what the "
                    "system allows (ulimit -n, ulimit -u, memory)"
                ) from None
        await self._until_ready(workers)
        return workers

    async def _each_mb(self, first: _Worker) -> float:
        """What a further worker takes; infinite when the first one did not get through the longest segment."""
        small = self._launcher.each_mb(_hand(first), Measured(0.0, 0.0))
        if self._ample(self.count, small):
            return small
        log.info(
            "memory may not do for %d workers: measuring what a segment of %g s takes", self.count, self._longest_s
        )
        work, first.asked = Measure(self._longest_s), True
        _wire(first).put(work)
        limit = self._patience(work)
        self._watch(first, limit, self._stuck)
        while first.measured is None and first.asked:
            self._changed.clear()
            await self._changed.wait()
        _disarm(first)
        if isinstance(first.measured, Measured):
            if heard_s := first.measured.heard_s:
                log.warning(
                    "what a segment of %g s takes is estimated from one of %.3g s: this model is too slow to try it",
                    self._longest_s,
                    heard_s,
                )
            return self._launcher.each_mb(_hand(first), first.measured)
        return math.inf

    @property
    def reason(self) -> str:
        """Why the pool gave up, once `broken` is set."""
        return self._broken or ""

    def flow(self, name: str, mic: bool = False) -> Flow:
        return self.scheduler.flow(name, mic)

    def end(self, flow: Flow) -> None:
        self.scheduler.end(flow)

    def submit(
        self, work: Segment | str, flow: Flow | None = None, on_admitted: Callable[[], object] = lambda: None
    ) -> asyncio.Future[Outcome]:
        ticket = Ticket(
            flow or Flow(), isinstance(work, str), work=work, queued=time.monotonic(),
            future=self._loop.create_future(), on_admitted=on_admitted,
        )  # fmt: skip
        if self._broken:
            ticket.future.set_exception(ServerError(self._broken))
        else:
            ticket.future.add_done_callback(lambda future: self._left(ticket))
            self.scheduler.submit(ticket)
            self._go_on()
        return ticket.future

    def workers(self) -> list[WorkerInfo]:
        return [self._info(w) for w in self._workers]

    async def stop(self, grace: float) -> None:
        self._stopping = True
        hands = [w.hand for w in self._workers if w.hand is not None]
        for worker in self._workers:
            _disarm(worker)
            if worker.wire is not None:
                worker.wire.finish()
        # What is half done or still loading is lost anyway: no need to wait for it.
        patience = 0.0 if any(self._flight(w) or not w.ready for w in self._workers) else grace
        if not await _gone(hands, patience):
            for act in ("terminate", "kill"):
                for hand in hands:
                    if hand.alive():
                        getattr(hand, act)()
                if await _gone(hands, grace):
                    break
        self._reserve.drop()
        self._launcher.terminate()
        if not await _gone([self._launcher], grace if self._workers and self._workers[0].ready else 0.0):
            self._launcher.kill()
            await _gone([self._launcher], grace)
        for ticket in self.scheduler.unfinished():
            ticket.future.cancel()
        await _gone([w.wire for w in self._workers if w.wire is not None], grace)

    def _info(self, worker: _Worker) -> WorkerInfo:
        state = "ready" if worker.ready else ("loading" if worker.open else "dead")
        pid = worker.hand.pid if worker.hand is not None else None
        return WorkerInfo(
            worker.number, pid, state, worker.load_s, self.scheduler.pending(worker.number), worker.reason
        )

    def _flight(self, worker: _Worker) -> dict[int, Ticket]:
        """What it was given and has not done, by number, in order."""
        return self.scheduler.flight[worker.number]

    def _left(self, ticket: Ticket) -> None:
        """Its future is done. When that is because nobody wants it any more, nobody is to work on it either."""
        if self._stopping:
            return
        if not ticket.future.cancelled():
            self.scheduler.over(ticket)
        elif (given := self.scheduler.withdraw(ticket)) is not None:
            worker, number = given
            _wire(self._workers[worker]).put(Skip(number))
        self._go_on()

    # Coming to life.

    def _spawn(self, worker: _Worker) -> _Worker:
        """Raises what the system raises when it has no room, and leaves nothing half started."""
        _disarm(worker)
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
        worker.open, worker.ready, worker.loaded, worker.spared, worker.reason = True, False, False, False, ""
        worker.asked = worker.passing = False
        worker.born = time.monotonic()
        if worker not in self._workers:
            self._workers.append(worker)
        limit = self._load_patience
        if self._begun:
            limit = min(limit, START_S + LOADS * self._longest_load)
        self._watch(worker, limit, self._never_ready)
        if worker.hand.pid is not None:
            self._on_event("started", self._info(worker))
        return worker

    def _never_ready(self, worker: _Worker, limit: float) -> None:
        worker.reason = f"not ready within {limit:.0f} s"
        self._retire(worker)
        if _hand(worker).pid is None:  # the process that was to fork it does not
            self._launcher.kill()
        else:
            _hand(worker).kill()

    async def _until_ready(self, workers: list[_Worker]) -> None:
        while not all(w.ready for w in workers):
            dead = next((w for w in workers if not w.ready and not w.open), None)
            if dead:
                raise ServerError(f"worker {dead.number} ended while loading: {dead.reason or _hand(dead).ended()}")
            self._changed.clear()
            await self._changed.wait()

    def _call(self, act: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(act, *args)

    # What workers say.

    def _received(self, worker: _Worker, message: Any) -> None:
        flight = {number: t.work for number, t in self._flight(worker).items()}
        wrong = nonsense(message, worker.loaded, flight, worker.asked)
        if wrong is not None:
            if not worker.spared:
                self._replace(worker, f"worker {worker.number} answered nonsense: {wrong}")
        elif isinstance(message, Started):
            with self._reserve:
                _hand(worker).pid = message.pid
            self._on_event("started", self._info(worker))
        elif isinstance(message, Ready):
            self._is_ready(worker, message)
        elif isinstance(message, Done):
            self._is_done(worker, message)
            self._arm(worker)
        elif isinstance(message, Skipped):
            self.scheduler.over(self.scheduler.answered(worker.number))
            self._arm(worker)
        elif isinstance(message, Measured) or (message.id is None and worker.asked):
            worker.measured, worker.asked = message, False
            self._changed.set()
        elif message.id is None:
            worker.reason, worker.passing = message.reason, message.passing
        elif not worker.spared:
            self._replace(worker, message.reason)
        self._go_on()

    def _is_ready(self, worker: _Worker, message: Ready) -> None:
        _disarm(worker)
        worker.ready, worker.loaded, worker.load_s, worker.failures = not worker.spared, True, message.load_s, 0
        worker.refused, self._oom_kills = 0, cgroup.oom_kills()
        if worker.ready:
            self.scheduler.open(worker.number)
        self._longest_load = max(self._longest_load, time.monotonic() - worker.born)
        self.about = message.about
        self._on_event("ready", self._info(worker))
        self._changed.set()

    def _is_done(self, worker: _Worker, message: Done) -> None:
        ticket = self.scheduler.answered(worker.number)
        if ticket.future.done():
            self.scheduler.over(ticket)
        else:
            pid = _hand(worker).pid or 0
            times = (ticket.queued, message.started, message.finished)
            ticket.future.set_result(Outcome(message.heard, worker.number, pid, *times, ticket.retries))

    def _arm(self, worker: _Worker) -> None:
        """Watch the clock for the segment that is being recognized."""
        _disarm(worker)
        if (flight := self._flight(worker)) and worker.ready:
            limit = self._patience(next(iter(flight.values())).work)
            self._watch(worker, limit, self._stuck)

    def _watch(self, worker: _Worker, limit: float, late: Callable[[_Worker, float], None]) -> None:
        """Call `late` in `limit` seconds, if nothing disarms the worker before. When the gateway finds itself much
        later than that, it was stopped together with its workers (Ctrl-Z, a machine asleep), and they get the time once
        more."""
        due = self._loop.time() + limit

        def passed() -> None:
            if self._loop.time() - due > ASLEEP_S:
                self._watch(worker, limit, late)
            else:
                late(worker, limit)

        _disarm(worker)
        worker.timer = self._loop.call_at(due, passed)

    def _stuck(self, worker: _Worker, limit: float) -> None:
        self._replace(worker, f"worker {worker.number} died (no answer within {limit:.1f} s)")

    # Who is to blame, and who goes on.

    def _group(self, worker: _Worker) -> list[_Worker]:
        """The workers that live and die with this one."""
        pid = worker.hand.pid if worker.hand is not None else None
        return [w for w in self._workers if w is worker or (pid is not None and w.open and _hand(w).pid == pid)]

    def _replace(self, worker: _Worker, reason: str) -> None:
        """End a worker that lives but is not sound. The first segment in flight has failed; its pipe's end brings
        everything else."""
        worker.reason = reason
        busy = self._retire(worker)
        if worker in busy:
            self._retry(self.scheduler.answered(worker.number), reason)
            busy.remove(worker)
        for one in busy:
            next(iter(self._flight(one).values())).retries += 1
        _hand(worker).kill()

    def _ended(self, worker: _Worker) -> None:
        how = worker.reason or self._how(worker)
        worker.reason, worker.asked = how, False
        if not worker.spared and not self._stopping:
            self._blame(worker, f"worker {worker.number} died ({how})")
        worker.open = worker.ready = False
        _wire(worker).finish()
        _disarm(worker)
        self._changed.set()
        if self._stopping:
            return
        if _hand(worker).alive():  # it said what cannot be read, or ended its pipe and nothing else
            _hand(worker).kill()
        self._on_event("died", self._info(worker))
        for ticket in reversed(self.scheduler.lost(worker.number)):
            self._again(ticket)
        if not worker.loaded:
            if worker.passing:
                worker.refused += 1
            else:
                worker.failures += 1
            if worker.load_s is None:
                return  # never ready: start() reports it
        self._revive(worker)
        self._go_on()

    def _how(self, worker: _Worker) -> str:
        """How a worker ended that said nothing."""
        how, killed = _hand(worker).ended(), cgroup.oom_kills()
        if not (how.endswith("-9") or how.startswith("forked")):
            return how
        if killed is not None and self._oom_kills is not None and killed > self._oom_kills:
            self._oom_kills += 1  # one of them; another that died with it has its own
            return f"{how}: the kernel ended it, as its memory limit was reached (out of memory)"
        return how

    def _revive(self, worker: _Worker) -> None:
        """Start it again: at once, or later and later when that has failed. When it fails for all, give up; but not
        when the system has no room now, which passes."""
        tries = worker.failures + worker.refused
        if all(w.failures >= GIVE_UP for w in self._workers):
            self._break(f"every worker ended {GIVE_UP} times in a row while loading: {worker.reason}")
        elif tries:
            self.scheduler.down(worker.number)
            delay = min(MOST_BACKOFF_S, BACKOFF_S * 2 ** min(tries - 1, 16))
            worker.timer = self._loop.call_later(delay, self._respawn, worker)
        else:
            self._respawn(worker)

    def _respawn(self, worker: _Worker) -> None:
        try:
            self._spawn(worker)
        except (OSError, RuntimeError, MemoryError) as error:
            if is_passing(error):
                worker.refused += 1
            else:
                worker.failures += 1
            worker.reason = f"cannot be started now: {_said(error)}"
            self._on_event("waiting", self._info(worker))
            self._revive(worker)

    def _blame(self, worker: _Worker, reason: str) -> None:
        """For a death that nobody ordered."""
        busy = self._retire(worker)
        if len(busy) == 1:
            self._retry(self.scheduler.answered(busy[0].number), reason)
            return
        for one in busy:
            ticket = next(iter(self._flight(one).values()))
            ticket.retries += 1
            ticket.failures += 1
            ticket.suspect = True

    def _retire(self, worker: _Worker) -> list[_Worker]:
        """Give nothing more to a worker and those that share its process; which of them have something to do."""
        group = self._group(worker)
        for one in group:
            one.ready, one.spared = False, True
            self.scheduler.close(one.number)
            _disarm(one)
        return [one for one in group if self._flight(one)]

    def _retry(self, ticket: Ticket, reason: str) -> None:
        ticket.failures += 1
        if ticket.future.done():
            self.scheduler.over(ticket)
        elif ticket.failures > self._max_retries:
            said = f"{_name(ticket.work)} failed {ticket.failures} times: {reason}"
            ticket.future.set_exception(GaveUp(said, ticket.retries))
        else:
            ticket.retries += 1
            self._again(ticket)

    def _again(self, ticket: Ticket) -> None:
        if ticket.future.done():
            self.scheduler.over(ticket)
        elif ticket.suspect:
            self.scheduler.quarantine(ticket)
        else:
            self.scheduler.again(ticket)

    def _break(self, reason: str) -> None:
        self._broken = reason
        for ticket in self.scheduler.unfinished():
            if not ticket.future.done():
                ticket.future.set_exception(ServerError(reason))
        self.broken.set()

    def _go_on(self) -> None:
        for act in self.scheduler.turn(time.monotonic()):
            if isinstance(act, Admitted):
                act.work.on_admitted()
                continue
            worker = self._workers[act.worker]
            _wire(worker).put(_job(act.number, act.work.work))
            if len(self._flight(worker)) == 1:
                self._arm(worker)


def _said(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _disarm(worker: _Worker) -> None:
    if worker.timer is not None:
        worker.timer.cancel()
        worker.timer = None


def _job(number: int, work: Segment | str) -> Job | TextJob:
    if isinstance(work, str):
        return TextJob(number, work)
    return Job(number, work.audio, work.start, work.shared)


def _name(work: Segment | str) -> str:
    return "the punctuation" if isinstance(work, str) else f"segment {work.index}"


def _hand(worker: _Worker) -> Hand:
    assert worker.hand is not None
    return worker.hand


def _wire(worker: _Worker) -> Wire:
    assert worker.wire is not None
    return worker.wire


async def _gone(these: Sequence[Hand | Launcher | Wire], patience: float) -> bool:
    """Whether none of these is alive any more, within so many seconds."""
    deadline = time.monotonic() + patience
    while any(one.alive() for one in these):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.01)
    return True
