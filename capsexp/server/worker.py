"""The process that recognizes: segments in over one pipe, recognitions out over the same."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from capsexp.lifeline import die_with_parent
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    id: int
    audio: Audio
    start: int
    shared: int


@dataclass(frozen=True)
class Ready:
    load_s: float


@dataclass(frozen=True)
class Done:
    """Times are time.monotonic() of this machine, shared by all its processes."""

    id: int
    heard: Recognition
    started: float
    finished: float


@dataclass(frozen=True)
class Failed:
    """`id` is None when the engine could not be loaded."""

    id: int | None
    reason: str


def main(pipe: Connection, settings: dict[str, Any], threads: int, parent: int) -> None:
    """Load the engine, warm it up, report ready, then recognize until the pipe ends."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front decides when to stop
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    from capsexp.engines.base import load_settings

    began = time.monotonic()
    try:
        engine = load_settings(settings, threads)
        # Warm-up: the first call pays for lazy allocations. Quiet noise, as silence takes short cuts.
        noise = np.random.default_rng(0).normal(0, 0.01, RATE).astype(np.float32)
        engine.recognize(noise)
    except Exception as error:
        pipe.send(Failed(None, _line(error)))
        return
    pipe.send(Ready(time.monotonic() - began))
    jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe, jobs), daemon=True).start()
    while (job := jobs.get()) is not None:
        started = time.monotonic()
        try:
            heard = engine.recognize(job.audio, job.start, job.shared)
            answer: Done | Failed = Done(job.id, heard, started, time.monotonic())
        except Exception as error:
            answer = Failed(job.id, _line(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def _read(pipe: Connection, jobs: queue.SimpleQueue[Job | None]) -> None:
    """Take the next segment off the pipe while this one is recognized; the front sends at most two."""
    try:
        while True:
            jobs.put(pipe.recv())
    except (EOFError, OSError):
        jobs.put(None)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
