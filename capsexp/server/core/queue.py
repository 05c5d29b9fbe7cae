"""A bounded queue of segments, for one worker or for all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from capsexp.server.core.order import Flow, Order


@dataclass(eq=False)
class Work:
    """`urgent`: it goes before all others and needs no place, as what a whole task waits for."""

    flow: Flow
    urgent: bool = False
    admitted: bool = field(default=False, init=False)
    queue: Queue[Any] | None = field(default=None, init=False, repr=False)  # where it waits or has its place


W = TypeVar("W", bound=Work)


class Queue(Generic[W]):
    """What waits for one worker, or for any."""

    def __init__(self, places: int, rest: Order[W], worker: int | None) -> None:
        self.places, self.worker = places, worker
        self.taken = 0
        self._first: OrderedDict[W, None] = OrderedDict()  # urgent, or begun before
        self._rest = rest
        self._outside: OrderedDict[W, None] = OrderedDict()  # not admitted

    def put(self, work: W) -> None:
        work.queue = self
        if work.urgent:
            self._first[work] = None
        else:
            self._rest.push(work)
            if work.admitted:
                self.taken += 1
            else:
                self._outside[work] = None

    def put_first(self, work: W) -> None:
        self._first[work] = None
        self._first.move_to_end(work, last=False)

    def pop(self, now: float) -> W:
        return self._first.popitem(last=False)[0] if self._first else self._rest.pop(now)

    def enter(self, work: W) -> bool:
        """It has a place from now on; whether it had none, and needs one."""
        if work.admitted or work.urgent:
            return False
        self._outside.pop(work, None)
        work.admitted = True
        self.taken += 1
        return True

    def admit(self) -> Iterator[W]:
        """Those for whom there is a place now."""
        while self._outside and self.taken < self.places:
            work = next(iter(self._outside))
            self.enter(work)
            yield work

    def leave(self, work: W) -> None:
        """It waits here no more, and needs no place."""
        self._first.pop(work, None)
        self._rest.discard(work)
        self._outside.pop(work, None)
        self.taken -= work.admitted
        work.queue = None

    def __len__(self) -> int:
        return len(self._first) + len(self._rest)

    def __iter__(self) -> Iterator[W]:
        yield from self._first
        yield from self._rest
