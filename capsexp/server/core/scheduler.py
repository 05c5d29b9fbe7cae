"""Which waiting segment goes to which worker, and whose sender has to wait.

A segment waits in one queue that every worker takes from, or in the queue of the worker that its flow is bound to
(`server.dispatch`). A queue has places for segments that wait or are being recognized. A segment beyond them waits as
well, and is begun in its turn, but is not admitted: its sender must not send more until it is. So the audio held is
bounded, and a stalled queue slows only the senders that wait for it.

A worker is given a second segment while it recognizes the first (IN_FLIGHT), so that it never waits for a copy.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple

from capsexp.server.core.order import Fifo, Flow, Order
from capsexp.server.core.queue import Queue, W

IN_FLIGHT = 2


class Given(NamedTuple, Generic[W]):
    """`work` is `worker`'s now, which is to answer under this number."""

    worker: int
    number: int
    work: W


class Admitted(NamedTuple, Generic[W]):
    """Its sender may go on."""

    work: W


class Scheduler(Generic[W]):
    """For `workers` workers, none of them open at first. `places`: of the shared queue; each worker's own queue has
    `places` / `workers` of them, rounded up. Events are methods; `turn` returns what is to be done after them. For work
    that was given to a worker that ended (`lost`) the caller says what becomes of it: `again`, `quarantine` or
    `over`."""

    def __init__(
        self, workers: int, places: int, dispatch: str = "segment", ordered: Callable[[], Order[W]] = Fifo
    ) -> None:
        self.flight: list[dict[int, W]] = [{} for _ in range(workers)]  # by number, in the order given
        self._dispatch = dispatch
        self._any: Queue[W] = Queue(places, ordered(), None)
        self._own: list[Queue[W]] = [Queue(-(-places // workers), ordered(), n) for n in range(workers)]
        self._flows = [0] * workers  # bound to each
        self._free: list[set[int]] = [set() for _ in range(IN_FLIGHT)]  # open workers with so many in flight
        self._open: set[int] = set()
        self._down: set[int] = set()
        self._changed: dict[Queue[W], None] = {}
        self._suspects: set[W] = set()  # not over
        self._apart: OrderedDict[W, None] = OrderedDict()  # of these, who wait
        self._number = 0

    # What comes.

    def flow(self, name: str, mic: bool = False) -> Flow:
        """For what belongs together; `end` it."""
        flow = Flow(mic)
        if self._dispatch in ("task", "hash"):
            flow.worker = self._home(name)
            self._flows[flow.worker] += 1
        return flow

    def end(self, flow: Flow) -> None:
        """Nothing more will come of it."""
        if flow.worker is not None:
            self._flows[flow.worker] -= 1

    def submit(self, work: W) -> None:
        self._enqueue(work)

    def withdraw(self, work: W) -> tuple[int, int] | None:
        """Drop work that was cancelled. Returns (worker, number) where it was given to a worker that has not begun
        it, and can be told to skip it; else None."""
        self._release(work)
        if work in self._apart:
            self.over(work)
        for worker, flight in enumerate(self.flight):
            for at, (number, one) in enumerate(flight.items()):
                if one is work:
                    return (worker, number) if at else None
        return None

    def answered(self, worker: int) -> W:
        """A worker has answered for the oldest work given to it, which is returned; the caller then calls `over`, or
        `again` for another attempt."""
        flight = self.flight[worker]
        work = flight.pop(next(iter(flight)))
        if worker in self._open:
            self._free[min(len(flight) + 1, IN_FLIGHT - 1)].discard(worker)
            self._is_free(worker)
        return work

    def open(self, worker: int) -> None:
        """It takes segments."""
        self._open.add(worker)
        self._down.discard(worker)
        self._is_free(worker)
        self._move()

    def close(self, worker: int) -> None:
        """It takes no more."""
        self._open.discard(worker)
        for free in self._free:
            free.discard(worker)

    def lost(self, worker: int) -> list[W]:
        """A worker ended: what it had, the first of which it had begun."""
        self.close(worker)
        works = list(self.flight[worker].values())
        self.flight[worker].clear()
        return works

    def down(self, worker: int) -> None:
        """A closed worker will stay closed for a while: what is bound to it moves to another, if one is up."""
        self._down.add(worker)
        self._move()

    def again(self, work: W) -> None:
        """What was given and not done waits once more, before all others."""
        if work.queue is None:  # withdrawn meanwhile
            self.over(work)
        elif work in self._suspects:
            self._apart[work] = None
        else:
            work.queue.put_first(work)
            self._changed[work.queue] = None
            self._move()

    def quarantine(self, work: W) -> None:
        """This work may have ended its worker's process: it is given out again only while nothing else is in flight, so
        that another crash has one possible cause."""
        if work.queue is None:  # withdrawn meanwhile
            self.over(work)
        else:
            self._suspects.add(work)
            self._apart[work] = None

    def over(self, work: W) -> None:
        """It has its result, or will never have one."""
        self._release(work)
        if work in self._suspects:
            self._suspects.discard(work)
            self._apart.pop(work, None)
            self._changed.update(dict.fromkeys([self._any, *self._own]))

    # What is to be done.

    def turn(self, now: float) -> list[Given[W] | Admitted[W]]:
        """Give each free place the next segment: of the worker's own, then of anybody's."""
        acts: list[Given[W] | Admitted[W]] = []
        if self._suspects:
            self._give_apart(acts)
            changed = list(self._changed)
        else:
            changed, self._changed = list(self._changed), {}
            for queue in changed:
                if queue.worker is not None:
                    while queue and queue.worker in self._open and len(self.flight[queue.worker]) < IN_FLIGHT:
                        self._give(queue.worker, queue.pop(now), acts)
            for depth, free in enumerate(self._free):
                # A second one only while every other worker will find one too: at the end of the load a segment
                # must not wait behind a busy worker while another idles.
                while free and len(self._any) > (depth and len(self._own) - 1):
                    self._give(min(free), self._any.pop(now), acts)
        for queue in changed:
            acts.extend(map(Admitted, queue.admit()))
        return acts

    def pending(self, worker: int) -> int:
        """How many it has been given, or wait for it alone."""
        return len(self.flight[worker]) + len(self._own[worker])

    @property
    def waiting(self) -> int:
        """How many were not given to any worker."""
        return len(self._any) + sum(map(len, self._own)) + len(self._apart)

    @property
    def places_taken(self) -> int:
        return self._any.taken + sum(queue.taken for queue in self._own)

    @property
    def flows(self) -> int:
        """How many are bound to a worker."""
        return sum(self._flows)

    def unfinished(self) -> list[W]:
        """All that waits or was given."""
        given = [work for flight in self.flight for work in flight.values()]
        return [*self._any, *(work for queue in self._own for work in queue), *self._apart, *given]

    def _give_apart(self, acts: list[Given[W] | Admitted[W]]) -> None:
        if self._apart and self._open and not any(self.flight):
            self._give(min(self._open), self._apart.popitem(last=False)[0], acts)

    def _give(self, worker: int, work: W, acts: list[Given[W] | Admitted[W]]) -> None:
        self._number += 1
        flight = self.flight[worker]
        self._free[len(flight)].discard(worker)
        flight[self._number] = work
        if len(flight) < IN_FLIGHT:
            self._free[len(flight)].add(worker)
        acts.append(Given(worker, self._number, work))
        if work.queue is not None and work.queue.enter(work):
            acts.append(Admitted(work))

    def _is_free(self, worker: int) -> None:
        if len(self.flight[worker]) < IN_FLIGHT:
            self._free[len(self.flight[worker])].add(worker)
            if self._own[worker]:
                self._changed[self._own[worker]] = None

    def _enqueue(self, work: W) -> None:
        flow = work.flow
        if flow.worker in self._down and len(self._down) < len(self._own):
            self._flows[flow.worker] -= 1
            flow.worker = self._home("", flow.worker)
            self._flows[flow.worker] += 1
        queue = self._any if flow.worker is None else self._own[flow.worker]
        queue.put(work)
        self._changed[queue] = None

    def _home(self, name: str, instead_of: int | None = None) -> int:
        """The worker that a flow is bound to: one that is not down, if any is up."""
        up = [n for n in range(len(self._own)) if n not in self._down] or list(range(len(self._own)))
        if self._dispatch == "task":
            return min(up, key=lambda worker: (self._flows[worker], worker))
        first = zlib.crc32(name.encode()) % len(self._own) if instead_of is None else instead_of
        return next((n for n in up if n >= first), up[0])

    def _move(self) -> None:
        """What waits for those that are down goes to those that are not."""
        if len(self._down) < len(self._own):
            for worker in sorted(self._down):
                for work in list(self._own[worker]):
                    self._own[worker].leave(work)
                    self._enqueue(work)

    def _release(self, work: W) -> None:
        if work.queue is not None:
            self._changed[work.queue] = None
            work.queue.leave(work)
