"""What a worker does, whatever started it: segments in over one pipe, recognitions out over the same."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import queue
import signal
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from capsexp.lifeline import die_with_parent
from capsexp.pipes import Connection, shut
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.server.reserve import is_passing

if TYPE_CHECKING:
    from capsexp.config import Config
    from capsexp.engines.base import Engine
    from capsexp.punctuation import Punctuator

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MEASURE_S = 10.0  # s that measuring the memory of the longest segment may take, about
LOOK_S = 0.005  # between two looks at the memory of a segment that is measured


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


def main(pipe: Connection, settings: dict[str, Any], threads: int, parent: int) -> None:
    """A process with an engine of its own: load it, then recognize until the pipe ends."""
    prepare(threads, parent)
    began = time.monotonic()
    try:
        engine = load(settings, threads)
    except Exception as error:
        pipe.send(Failed(None, line(error), is_passing(error)))
        return
    serve(engine, pipe, began, warm=False)


def main_threads(pipes: list[Connection], settings: dict[str, Any], threads: int, parent: int) -> None:
    """A process whose threads share one engine, a pipe each."""
    prepare(threads, parent)
    began = time.monotonic()
    try:
        engine = load(settings, threads)
    except Exception as error:
        for pipe in pipes:
            pipe.send(Failed(None, line(error), is_passing(error)))
        return
    serving = [threading.Thread(target=serve, args=(engine, pipe, began)) for pipe in pipes]
    for thread in serving:
        thread.start()
    for thread in serving:
        thread.join()


def prepare(threads: int, parent: int) -> None:
    """Before any library is loaded: their thread pools take their sizes from the environment, once."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway decides when to stop
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)


class Loaded:
    """What a worker works with: an engine, and what punctuates its text."""

    def __init__(self, engine: Engine, punctuator: Punctuator | None) -> None:
        self.about = engine.about
        self.recognize = engine.recognize
        self._punctuator = punctuator

    def punctuate(self, text: str) -> str:
        return self._punctuator.punctuate(text) if self._punctuator is not None else text


def settings_of(config: Config) -> dict[str, Any]:
    """What a worker has to know, as plain values."""
    return {"engine": asdict(config.engine), "punctuation": asdict(config.punctuation)}


def load(settings: dict[str, Any], threads: int) -> Loaded:
    """Load and warm up; raises whatever the libraries raise."""
    from capsexp.config import PunctuationConfig
    from capsexp.engines.base import load_settings

    punctuation, punctuator = PunctuationConfig(**settings["punctuation"]), None
    if punctuation.name != "none":
        from capsexp.punctuation import Punctuator

        punctuator = Punctuator(punctuation, threads)
    loaded = Loaded(load_settings(settings["engine"], threads), punctuator)
    warm_up(loaded)
    give_back()
    return loaded


def give_back() -> None:
    """Return to the system what loading used and freed: glibc keeps it, and forked workers would keep it with it
    (640 of 1770 MB with a model of Paraformer-large's size)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def warm_up(engine: Loaded, seconds: float = 1.0) -> None:
    """The first call pays for lazy allocations."""
    engine.recognize(_noise(seconds))


def serve(engine: Loaded, pipe: Connection, began: float, warm: bool = True) -> None:
    """Say Ready, then recognize what comes until the pipe ends, and close it. `warm`: the engine was loaded elsewhere,
    and what it allocates per process or thread is still to come."""
    jobs: queue.SimpleQueue[Job | TextJob | Measure | None] = queue.SimpleQueue()
    skipped: set[int] = set()
    reading = threading.Thread(target=_read, args=(pipe, jobs, skipped), daemon=True)
    with contextlib.ExitStack() as stack:
        stack.callback(pipe.close)
        if warm:
            warm_up(engine, 0.25)  # little is left to be paid for, and a worker that died is waited for
        pipe.send(Ready(time.monotonic() - began, engine.about))
        reading.start()
        stack.callback(reading.join)
        stack.callback(shut, pipe)  # the process may live on, and the gateway must see that this worker does not
        while (job := jobs.get()) is not None:
            try:
                _answer(engine, pipe, job, skipped)
            except OSError:
                return


def _answer(engine: Loaded, pipe: Connection, job: Job | TextJob | Measure, skipped: set[int]) -> None:
    """Raises OSError when the gateway has gone."""
    if isinstance(job, Measure):
        pipe.send(measure(engine, job.audio_s))
        return
    answer = Skipped(job.id) if job.id in skipped else _work(engine, job)
    try:
        pipe.send(answer)
    except OSError:
        raise
    except Exception as error:  # the engine's answer holds what cannot be sent
        pipe.send(Failed(job.id, line(error)))
    skipped.difference_update([number for number in tuple(skipped) if number <= job.id])


def measure(engine: Loaded, seconds: float, most_s: float = MEASURE_S) -> Measured | Failed:
    """What recognizing a segment of so many seconds takes. Lengths are doubled until the next one would, growing as its
    square, not be done in `most_s` seconds of time: what is longer is then estimated from the last two."""
    lengths = [seconds]
    while lengths[0] > 1.0:
        lengths.insert(0, lengths[0] / 2)
    before: Measured | None = None
    began = time.monotonic()
    for length, following in zip(lengths, [*lengths[1:], None], strict=True):
        started = time.monotonic()
        found = _measured(engine, length)
        if isinstance(found, Failed):
            return found
        now = time.monotonic()
        if following is not None and (now - began) + 4 * (now - started) > most_s:
            return _estimated(before, found, length, seconds)
        # What shorter ones made it grow by and it kept is a part of what this one takes.
        kept = before.grown_mb - before.freed_mb if before is not None else 0.0
        before = Measured(found.grown_mb + kept, found.freed_mb)
    assert before is not None
    return before


def _estimated(shorter: Measured | None, found: Measured, heard_s: float, seconds: float) -> Measured:
    """Memory grows with the length of a segment, or with its square where attention is over all of it."""
    kept = shorter.grown_mb - shorter.freed_mb if shorter is not None else 0.0
    grown, power = found.grown_mb + kept, 2.0
    if shorter is not None and shorter.grown_mb > 0:
        power = min(2.0, max(1.0, math.log2(max(1.0, grown / shorter.grown_mb))))
    most = grown * (seconds / heard_s) ** power
    return Measured(most, found.freed_mb + most - grown, heard_s)


def _measured(engine: Loaded, seconds: float) -> Measured | Failed:
    """One segment, seen from beside it while it goes on."""
    process, ended = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not ended.wait(LOOK_S):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        noise = _noise(seconds)
        engine.recognize(noise, 0, len(noise))  # as one that was heard before: engine=null sleeps over what is new
    except Exception as error:
        return Failed(None, line(error), is_passing(error))
    finally:
        ended.set()
        watching.join()
    after = process.memory_info().rss
    peak = max(peak, after)
    return Measured((peak - before) / 2**20, (peak - after) / 2**20)


def _noise(seconds: float) -> Audio:
    """Quiet noise, as silence takes short cuts."""
    return np.random.default_rng(0).normal(0, 0.01, round(seconds * RATE)).astype(np.float32)


def _work(engine: Loaded, job: Job | TextJob) -> Done | Failed:
    started = time.monotonic()
    try:
        if isinstance(job, TextJob):
            heard = Recognition([engine.punctuate(job.text)])
        else:
            heard = engine.recognize(job.audio, job.start, job.shared)
        return Done(job.id, heard, started, time.monotonic())
    except Exception as error:
        return Failed(job.id, line(error))


def _read(pipe: Connection, jobs: queue.SimpleQueue[Job | TextJob | Measure | None], skipped: set[int]) -> None:
    """Take the next segment off the pipe while this one is recognized; the gateway sends at most two."""
    try:
        while True:
            job = pipe.recv()
            if isinstance(job, Skip):
                skipped.add(job.id)
            else:
                jobs.put(job)
    except Exception:  # the gateway has gone, or no memory is left for a segment: the worker has no more to do
        jobs.put(None)


def line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
