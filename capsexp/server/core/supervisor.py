"""Supervises workers: what each is doing, which segment is to blame when one dies, and which worker continues.

A worker that dies, hangs, raises or sends an impossible answer is replaced: at once, or after a growing delay while its
starts fail. The segment that it was recognizing counts as failed and is given to another worker, up to `max_retries`
times; segments that only waited there do not count as failed. Where several workers share a process, it is not known
which segment ended it: each of them is then recognized alone (the scheduler's quarantine) to find out.

Events are methods, with the time where it matters; `turn` returns what is to be done after them, `due` when to call
`tick`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from capsexp.server.core.life import ALIVE, Act, Broken, Died, GivesUp, J, Kill, Life, Start, State, Waits
from capsexp.server.core.scheduler import Given, Scheduler

GIVE_UP = 3  # times in a row that every worker ended before it was ready: nothing is going to change that
BACKOFF_S, MOST_BACKOFF_S = 0.5, 30.0  # before a worker that did not become ready is started again: doubled each time
LOADS = 5  # a loading worker counts as stuck after LOADS times the longest load so far, and START_S more
START_S = 5.0  # s
ASLEEP_S = 1.0  # s by which a tick is late: then this process was stopped, too, and not the worker alone


class Supervisor(Generic[J]):
    """Supervises the workers of a scheduler, none of which was started yet. `patience(work)`: seconds that a worker may
    take for it; `load_s`: seconds that it may take to load."""

    def __init__(
        self, scheduler: Scheduler[J], max_retries: int, patience: Callable[[J], float], load_s: float = 3600.0
    ) -> None:
        self.scheduler = scheduler
        self.lives = [Life() for _ in scheduler.flight]
        self.broken: str | None = None
        self.begun = False  # all have loaded once, together: how long that takes is known from then on
        self._max_retries, self._patience, self._load_s = max_retries, patience, load_s
        self._longest_load = 0.0
        self._acts: list[Act[J]] = []

    def settle(self, scheduler: Scheduler[J]) -> None:
        """Its workers are all there will be; nothing was submitted before."""
        self.scheduler = scheduler
        del self.lives[len(scheduler.flight) :]
        for worker, life in enumerate(self.lives):
            if life.state is State.READY:
                scheduler.open(worker)

    # What happens to workers.

    def started(self, worker: int, now: float, group: object = None) -> None:
        limit = min(self._load_s, START_S + LOADS * self._longest_load) if self.begun else self._load_s
        life = self.lives[worker]
        life.state, life.group, life.born = State.STARTING, group, now
        life.loaded, life.passing, life.reason = False, False, ""
        self.watch(worker, limit, now)

    def refused(self, worker: int, reason: str, passing: bool, now: float) -> None:
        """It could not be started; `passing`: as the system had no room just then."""
        life = self.lives[worker]
        life.reason = reason
        self._count(life, passing)
        self._acts.append(Waits(worker))
        self._revive(worker, now)

    def ready(self, worker: int, now: float) -> None:
        life = self.lives[worker]
        self._longest_load = max(self._longest_load, now - life.born)
        life.loaded = life.ever = True
        life.failures = life.refused = 0
        if life.state is State.STARTING:
            life.state, life.due = State.READY, None
            self.scheduler.open(worker)

    def answered(self, worker: int, now: float) -> J:
        """The first of what it was given is done, or was left out as nobody wants it."""
        work = self.scheduler.answered(worker)
        self.scheduler.over(work)
        self.arm(worker, now)
        return work

    def failed(self, worker: int, reason: str) -> None:
        """It lives but is not sound, and ends. The first that it was given has failed."""
        if self.lives[worker].state is State.STUCK:
            return
        self.lives[worker].reason = reason
        for one in self._retire(worker):
            if one == worker:
                self._retry(self.scheduler.answered(one), reason)
            else:
                next(iter(self.scheduler.flight[one].values())).retries += 1
        self._acts.append(Kill(worker))

    def cannot_load(self, worker: int, reason: str, passing: bool) -> None:
        self.lives[worker].reason, self.lives[worker].passing = reason, passing

    def ended(self, worker: int, how: str, now: float) -> None:
        life = self.lives[worker]
        life.reason = life.reason or how
        if life.state is not State.STUCK:
            self._blame(worker, f"worker {worker} died ({life.reason})")
        life.state, life.due = State.DEAD, None
        self._acts.append(Died(worker))
        for work in reversed(self.scheduler.lost(worker)):
            self._again(work)
        if not life.loaded:
            self._count(life, life.passing)
        if life.ever:  # else it is the start that fails, and says so
            self._revive(worker, now)

    def watch(self, worker: int, limit: float, now: float) -> None:
        """Set the deadline of what a worker does to `limit` seconds from `now`."""
        self.lives[worker].due, self.lives[worker].limit = now + limit, limit

    def tick(self, now: float) -> None:
        """Act on deadlines that passed. A tick that is ASLEEP_S late shows that this process was stopped together
        with the workers (Ctrl-Z, a machine asleep): they get their time again."""
        for worker, life in enumerate(self.lives):
            if life.due is None or now < life.due:
                continue
            if life.state is State.BACK_OFF:
                life.state, life.due = State.DEAD, None
                self._acts.append(Start(worker))
            elif now - life.due > ASLEEP_S:
                life.due = now + life.limit
            elif life.state is State.STARTING:
                life.reason = f"not ready within {life.limit:.0f} s"
                self._retire(worker)
                self._acts.append(Kill(worker))
            else:
                self.failed(worker, f"worker {worker} died (no answer within {life.limit:.1f} s)")

    # What is to be done.

    @property
    def due(self) -> float | None:
        """When to call `tick`."""
        return min((life.due for life in self.lives if life.due is not None), default=None)

    def turn(self, now: float) -> list[Act[J]]:
        acts, self._acts = self._acts, []
        if self.broken is None:
            for act in self.scheduler.turn(now):
                acts.append(act)
                if isinstance(act, Given) and len(self.scheduler.flight[act.worker]) == 1:
                    self.arm(act.worker, now)
        return acts

    def arm(self, worker: int, now: float) -> None:
        """Watch the clock for what is being recognized, and for nothing else."""
        life, flight = self.lives[worker], self.scheduler.flight[worker]
        if life.state in (State.READY, State.BUSY):
            life.state, life.due = State.READY, None
            if flight:
                life.state = State.BUSY
                self.watch(worker, self._patience(next(iter(flight.values()))), now)

    def _count(self, life: Life, passing: bool) -> None:
        life.refused += passing
        life.failures += not passing

    def _revive(self, worker: int, now: float) -> None:
        """Start it again: at once, or later and later when that has failed. When it fails for all, give up; but not
        when the system has no room now, which passes."""
        life = self.lives[worker]
        tries = life.failures + life.refused
        if all(one.failures >= GIVE_UP for one in self.lives):
            self.broken = f"every worker ended {GIVE_UP} times in a row while loading: {life.reason}"
            self._acts.append(Broken(self.broken))
        elif tries:
            life.state = State.BACK_OFF
            self.watch(worker, min(MOST_BACKOFF_S, BACKOFF_S * 2 ** min(tries - 1, 16)), now)
            self.scheduler.down(worker)
        else:
            self._acts.append(Start(worker))

    # Who is to blame.

    def _retire(self, worker: int) -> list[int]:
        """Give nothing more to a worker and those that share its process; which of them have something to do."""
        group = self.lives[worker].group
        those = [
            number for number, life in enumerate(self.lives)
            if number == worker or (group is not None and life.group == group and life.state in ALIVE)
        ]  # fmt: skip
        for one in those:
            self.lives[one].state, self.lives[one].due = State.STUCK, None
            self.scheduler.close(one)
        return [one for one in those if self.scheduler.flight[one]]

    def _blame(self, worker: int, reason: str) -> None:
        """Of a worker that was not told to end."""
        busy = self._retire(worker)
        if len(busy) == 1:
            self._retry(self.scheduler.answered(busy[0]), reason)
            return
        for one in busy:
            work = next(iter(self.scheduler.flight[one].values()))
            work.retries += 1
            work.failures += 1
            work.suspect = True

    def _retry(self, work: J, reason: str) -> None:
        work.failures += 1
        if work.failures > self._max_retries:
            self.scheduler.over(work)
            self._acts.append(GivesUp(work, reason))
        else:
            work.retries += 1
            self._again(work)

    def _again(self, work: J) -> None:
        if work.suspect:
            self.scheduler.quarantine(work)
        else:
            self.scheduler.again(work)
