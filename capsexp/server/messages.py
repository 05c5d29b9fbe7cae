"""Messages between the gateway and its workers, over pipes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from capsexp.errors import CapsexpError
from capsexp.pipes import Connection
from capsexp.protocol import Audio
from capsexp.segments import Recognition
from capsexp.server.spawn_reserve import is_passing

if TYPE_CHECKING:
    from capsexp.engines.base import About

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SegmentJob:
    id: int
    audio: Audio
    start: int
    shared: int


@dataclass(frozen=True)
class _Announced:
    """A SegmentJob whose samples come next, as they are."""

    id: int
    samples: int
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
    """The pid of a worker that the gateway did not start itself: forked by a loader, or running on another node."""

    pid: int


@dataclass(frozen=True)
class WorkerReady:
    """`cpus`: those that the kernel keeps it to, where it was pinned."""

    load_s: float
    about: About
    cpus: tuple[int, ...] | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker has to know when it begins: plain values, as no library may be loaded before its process is
    prepared. `run_dir`: where its tracebacks are kept; `cpus`: those of each worker, where they are pinned."""

    engine: Mapping[str, Any]
    punctuation: Mapping[str, Any]
    run_dir: str | None = None
    cpus: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class Done:
    """Times are time.monotonic() of this machine, shared by all its processes."""

    id: int
    heard: Recognition
    started: float
    finished: float


@dataclass(frozen=True)
class Failed:
    """`id`: None where the engine could not be loaded, or a measurement failed; `passing`: it could not be loaded only
    because descriptors, processes or memory were lacking just then."""

    id: int | None
    reason: str
    passing: bool = False


def send_job(pipe: Connection, job: SegmentJob | TextJob | Measure | Skip) -> None:
    """Samples go beside what is pickled: inside they would be copied twice at either end."""
    if not isinstance(job, SegmentJob):
        pipe.send(job)
        return
    samples = np.ascontiguousarray(job.audio, np.float32)
    pipe.send(_Announced(job.id, len(samples), job.start, job.shared))
    pipe.send_bytes(samples.view(np.uint8).data)


def receive_job(pipe: Connection) -> SegmentJob | TextJob | Measure | Skip:
    """What `send_job` sent; raises EOFError, OSError and what unpickling raises."""
    job: SegmentJob | TextJob | Measure | Skip | _Announced = pipe.recv()
    if not isinstance(job, _Announced):
        return job
    samples = np.empty(job.samples, np.float32)
    pipe.recv_bytes_into(samples.view(np.uint8).data)
    return SegmentJob(job.id, samples, job.start, job.shared)


def failure(number: int | None, error: Exception) -> Failed:
    """What a worker says of what went wrong; of what nobody foresaw the traceback is logged."""
    if not isinstance(error, CapsexpError):
        log.error("%s", "loading the engine" if number is None else f"job {number}", exc_info=error)
    return Failed(
        number, (str(error).splitlines() or [type(error).__name__])[0][:500], number is None and is_passing(error)
    )
