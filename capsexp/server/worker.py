"""The loop of a worker, whatever started it: segments in and recognitions out over one pipe."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from capsexp import debug, topology
from capsexp.errors import ServerError
from capsexp.lifeline import die_with_parent
from capsexp.pipes import Connection, shut
from capsexp.placement import spelled
from capsexp.segments import Recognition
from capsexp.server.measuring import give_back, measure, warm_up
from capsexp.server.messages import (
    Done,
    Failed,
    Measure,
    SegmentJob,
    Skip,
    Skipped,
    TextJob,
    WorkerReady,
    WorkerSettings,
    failure,
    receive_job,
)

if TYPE_CHECKING:
    from capsexp.config import Config
    from capsexp.engines.base import Engine
    from capsexp.punctuation import Punctuator

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def main(pipe: Connection, settings: WorkerSettings, threads: int, parent: int, number: int = 0) -> None:
    """A process with an engine of its own: load it, then recognize until the pipe ends."""
    prepare(threads, parent, settings)
    began = time.monotonic()
    try:
        cpus = pin(settings, number)  # before libraries start threads of their own
        engine = load(settings, threads)
    except Exception as error:
        pipe.send(failure(None, error))
        return
    serve(engine, pipe, began, warm=False, cpus=cpus)


def main_threads(pipes: list[Connection], settings: WorkerSettings, threads: int, parent: int) -> None:
    """A process whose threads share one engine, a pipe each."""
    prepare(threads, parent, settings)
    began = time.monotonic()
    try:
        pin_to_all(settings)
        engine = load(settings, threads)
    except Exception as error:
        for pipe in pipes:
            pipe.send(failure(None, error))
        return
    serving = [
        threading.Thread(target=_serve_pinned, args=(engine, pipe, began, settings, number))
        for number, pipe in enumerate(pipes)
    ]
    for thread in serving:
        thread.start()
    for thread in serving:
        thread.join()


def prepare(threads: int, parent: int, settings: WorkerSettings) -> None:
    """Before any library is loaded: their thread pools take their sizes from the environment, once."""
    die_with_parent(parent)
    if settings.run_dir is not None:
        debug.keep(Path(settings.run_dir))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway decides when to stop
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)


def pin(settings: WorkerSettings, number: int, process: bool = True) -> tuple[int, ...] | None:
    """Keep this process, or the calling thread alone, to the CPUs of worker `number`, and say to which; None where it
    is not pinned. Raises ServerError."""
    return None if settings.cpus is None else _pin(settings.cpus[number], process)


def pin_to_all(settings: WorkerSettings) -> None:
    """Keep this process to the CPUs of all workers, whose threads share the library's. Raises ServerError."""
    if settings.cpus is not None:
        _pin({cpu for own in settings.cpus for cpu in own}, process=True)


def _pin(cpus: Collection[int], process: bool) -> tuple[int, ...]:
    try:
        return topology.pin(cpus, process)
    except OSError as error:
        raise ServerError(f"cannot be pinned to CPUs {spelled(cpus)}: {error.strerror or error}") from None


class Loaded:
    """What a worker works with: an engine, and what punctuates its text."""

    def __init__(self, engine: Engine, punctuator: Punctuator | None) -> None:
        self.about = engine.about
        self.recognize = engine.recognize
        self._punctuator = punctuator

    def punctuate(self, text: str) -> str:
        return self._punctuator.punctuate(text) if self._punctuator is not None else text


def settings_of(config: Config, run_dir: Path | None, cpus: Sequence[Collection[int]] | None = None) -> WorkerSettings:
    """`cpus`: those of each worker, where they are pinned."""
    return WorkerSettings(
        asdict(config.engine), asdict(config.punctuation), None if run_dir is None else str(run_dir),
        None if cpus is None else tuple(tuple(sorted(own)) for own in cpus),
    )  # fmt: skip


def load(settings: WorkerSettings, threads: int) -> Loaded:
    """Load and warm up; raises whatever the libraries raise."""
    from capsexp.config import PunctuationConfig
    from capsexp.engines.base import load_settings

    punctuation, punctuator = PunctuationConfig(**settings.punctuation), None
    if punctuation.name != "none":
        from capsexp.punctuation import Punctuator

        punctuator = Punctuator(punctuation, threads)
    loaded = Loaded(load_settings(settings.engine, threads), punctuator)
    warm_up(loaded)
    give_back()
    return loaded


def _serve_pinned(engine: Loaded, pipe: Connection, began: float, settings: WorkerSettings, number: int) -> None:
    """In a thread of its own."""
    try:
        cpus = pin(settings, number, process=False)
    except ServerError as error:
        with contextlib.closing(pipe):
            pipe.send(failure(None, error))
        return
    serve(engine, pipe, began, cpus=cpus)


def serve(
    engine: Loaded, pipe: Connection, began: float, warm: bool = True, cpus: tuple[int, ...] | None = None
) -> None:
    """Say that it is ready, then recognize what comes until the pipe ends, and close it. `warm`: the engine was loaded
    elsewhere, and what it allocates per process or thread is still to come; `cpus`: those it is pinned to."""
    jobs: queue.SimpleQueue[SegmentJob | TextJob | Measure | None] = queue.SimpleQueue()
    skipped: set[int] = set()
    reading = threading.Thread(target=_read, args=(pipe, jobs, skipped), daemon=True)
    with contextlib.ExitStack() as stack:
        stack.callback(pipe.close)
        if warm:
            warm_up(engine, 0.25)  # little is left to be paid for, and a worker that died is waited for
        pipe.send(WorkerReady(time.monotonic() - began, engine.about, cpus))
        reading.start()
        stack.callback(reading.join)
        stack.callback(shut, pipe)  # the process may live on, and the gateway must see that this worker does not
        while (job := jobs.get()) is not None:
            try:
                _answer(engine, pipe, job, skipped)
            except OSError:
                return


def _answer(engine: Loaded, pipe: Connection, job: SegmentJob | TextJob | Measure, skipped: set[int]) -> None:
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
        pipe.send(failure(job.id, error))
    skipped.difference_update([number for number in tuple(skipped) if number <= job.id])


def _work(engine: Loaded, job: SegmentJob | TextJob) -> Done | Failed:
    started = time.monotonic()
    try:
        if isinstance(job, TextJob):
            heard = Recognition([engine.punctuate(job.text)])
        else:
            heard = engine.recognize(job.audio, job.start, job.shared)
        return Done(job.id, heard, started, time.monotonic())
    except Exception as error:
        return failure(job.id, error)


def _read(pipe: Connection, jobs: queue.SimpleQueue[SegmentJob | TextJob | Measure | None], skipped: set[int]) -> None:
    """Take the next segment off the pipe while this one is recognized; the gateway sends at most two."""
    try:
        while True:
            job = receive_job(pipe)
            if isinstance(job, Skip):
                skipped.add(job.id)
            else:
                jobs.put(job)
    except Exception:  # the gateway has gone, or no memory is left for a segment: the worker has no more to do
        jobs.put(None)
