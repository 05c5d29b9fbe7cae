"""What a gateway and its workers say to each other over their pipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capsexp.protocol import Audio
from capsexp.segments import Recognition


@dataclass(frozen=True)
class Job:
    id: int
    audio: Audio
    start: int
    shared: int


@dataclass(frozen=True)
class TextJob:
    """A final text to be punctuated; answered by a Done that holds it as its only token."""

    id: int
    text: str


@dataclass(frozen=True)
class Measure:
    """See what a segment of so many seconds takes, by shorter ones where it would take long; answered by Measured."""

    audio_s: float


@dataclass(frozen=True)
class Measured:
    """Memory of the process: how much it grew at most meanwhile, and how much of that it has given back."""

    grown_mb: float
    freed_mb: float
    heard_s: float | None = None  # the longest that was recognized, where the rest is an estimate


@dataclass(frozen=True)
class Skip:
    """Nobody waits for this job any more: leave it out if it has not been begun."""

    id: int


@dataclass(frozen=True)
class Skipped:
    id: int


@dataclass(frozen=True)
class Started:
    """From a worker that was forked: the gateway did not start it, and cannot know."""

    pid: int


@dataclass(frozen=True)
class Ready:
    load_s: float
    about: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """Times are time.monotonic() of this machine, shared by all its processes."""

    id: int
    heard: Recognition
    started: float
    finished: float


@dataclass(frozen=True)
class Failed:
    """`id` is None when the engine could not be loaded; `passing`: as the system had no room for it just then."""

    id: int | None
    reason: str
    passing: bool = False


def line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
