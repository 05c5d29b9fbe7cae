"""The order in which waiting segments of one queue are begun: `server.schedule`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


@dataclass(eq=False)
class Flow:
    """The segments of a task, in order. `mic`: live speech, whose speaker waits for the text; `worker`: the one that
    it is bound to, None: any."""

    mic: bool = False
    worker: int | None = None


class Flowing(Protocol):
    """Something that waits, of a flow."""

    flow: Flow


W = TypeVar("W", bound=Flowing)


class Order(Protocol[W]):
    """What waits, and who is next. Everything that was pushed is popped once, if it is not discarded before."""

    def push(self, work: W) -> None: ...

    def pop(self, now: float) -> W:
        """The next one; raises KeyError when nothing waits."""
        ...

    def discard(self, work: W) -> None:
        """Forget it, if it waits here."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[W]: ...


class Fifo(Generic[W]):
    """As they came."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[W, None] = OrderedDict()

    def push(self, work: W) -> None:
        self._waiting[work] = None

    def pop(self, now: float) -> W:
        return self._waiting.popitem(last=False)[0]

    def discard(self, work: W) -> None:
        self._waiting.pop(work, None)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[W]:
        return iter(self._waiting)


class MicFirst(Generic[W]):
    """Microphone segments before file segments; files are passed over for at most `most_s` seconds, then the oldest
    of their segments is next."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._mics, self._files = Fifo[W](), Fifo[W]()
        self._since: float | None = None  # that files have been passed over, without one of them being next

    def push(self, work: W) -> None:
        (self._mics if work.flow.mic else self._files).push(work)

    def pop(self, now: float) -> W:
        if self._mics and not (self._since is not None and now - self._since >= self._most_s):
            if self._files and self._since is None:
                self._since = now
            return self._mics.pop(now)
        self._since = None
        return self._files.pop(now)

    def discard(self, work: W) -> None:
        self._mics.discard(work)
        self._files.discard(work)
        if not self._files:
            self._since = None

    def __len__(self) -> int:
        return len(self._mics) + len(self._files)

    def __iter__(self) -> Iterator[W]:
        yield from self._mics
        yield from self._files


class Fair(Generic[W]):
    """One of each flow in turn, however many the others have."""

    def __init__(self) -> None:
        self._flows: OrderedDict[Flow, Fifo[W]] = OrderedDict()
        self._count = 0

    def push(self, work: W) -> None:
        self._flows.setdefault(work.flow, Fifo()).push(work)
        self._count += 1

    def pop(self, now: float) -> W:
        flow, waiting = next(iter(self._flows.items())) if self._flows else (None, Fifo[W]())
        work = waiting.pop(now)
        self._count -= 1
        if flow is not None:
            self._flows.move_to_end(flow)
            self._forget(flow)
        return work

    def discard(self, work: W) -> None:
        if waiting := self._flows.get(work.flow):
            before = len(waiting)
            waiting.discard(work)
            self._count -= before - len(waiting)
            self._forget(work.flow)

    def _forget(self, flow: Flow) -> None:
        if not self._flows[flow]:
            del self._flows[flow]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[W]:
        for waiting in self._flows.values():
            yield from waiting


def order(schedule: str, passed_over_s: float) -> Callable[[], Order[W]]:
    """What makes an empty queue of this `schedule`."""
    if schedule == "mic_first":
        return lambda: MicFirst(passed_over_s)
    return Fair if schedule == "fair" else Fifo
