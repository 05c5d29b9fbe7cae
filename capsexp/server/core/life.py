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
    """A worker. `group`: what it shares with those that live and die with it, where that is known."""

    state: State = State.DEAD
    group: object = None
    loaded: bool = False  # was ready since it was started
    ever: bool = False  # was ready once
    failures: int = 0  # lives in a row that ended before it was ready
    refused: int = 0  # times in a row that the system had no room for it: its failures are others
    passing: bool = False  # why it ends is that
    reason: str = ""  # why it ended, or is to end
    born: float = 0.0
    due: float | None = None  # when what it does, or its waiting, has taken too long
    limit: float = field(default=0.0, repr=False)  # s, that this may take


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
