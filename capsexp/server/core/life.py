"""States of a worker and of a segment's attempts, and the actions they lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from capsexp.server.core.queue import Work
from capsexp.server.core.scheduler import Admitted, Given


class State(Enum):
    STARTING = "starting"  # loads its model
    READY = "ready"
    BUSY = "busy"
    STUCK = "stuck"  # it, or its process, is not sound: it gets nothing more, and its end is awaited
    DEAD = "dead"
    BACK_OFF = "back-off"  # dead, and started again when it is time


ALIVE = frozenset({State.STARTING, State.READY, State.BUSY, State.STUCK})


@dataclass(eq=False, kw_only=True)
class RetriedWork(Work):
    """`retries`: how often it was begun again, `failures`: how often by a fault of its own or of its worker;
    `suspect`: it is one of several that may have taken their common process down."""

    retries: int = 0
    failures: int = 0
    suspect: bool = False


J = TypeVar("J", bound=RetriedWork)


@dataclass
class Life:
    """The state of a worker. `group`: equal for workers that share a process; None where that is not known."""

    state: State = State.DEAD
    group: object = None
    loaded: bool = False  # it became ready since its last start
    ever: bool = False  # it became ready at least once
    failures: int = 0  # starts in a row that ended before it was ready, for another reason than `refused`
    refused: int = 0  # starts in a row that ended because descriptors, processes or memory were lacking
    passing: bool = False  # its last start ended for such a lack
    reason: str = ""  # why it ended, or is to end
    born: float = 0.0  # when it was started last
    due: float | None = None  # deadline of what it does, or of its wait for the next start
    limit: float = field(default=0.0, repr=False)  # s that were allowed for that


class Start(NamedTuple):
    """Start it; then say `started` or `refused`."""

    worker: int


class Kill(NamedTuple):
    worker: int


class Died(NamedTuple):
    worker: int


class Waits(NamedTuple):
    """It cannot be started now."""

    worker: int


class GivesUp(NamedTuple, Generic[J]):
    """This work fails for good."""

    work: J
    reason: str


class Broken(NamedTuple):
    """No worker is going to come back; nor is there a result for anything."""

    reason: str


Act: TypeAlias = "Start | Kill | Died | Waits | GivesUp[J] | Broken | Given[J] | Admitted[J]"
