"""N processes that recognize, fed by a plain loop: the workers of our server, without the server."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import cast

import psutil

from capsexp.config import Config
from capsexp.errors import EngineError
from capsexp.files import storing
from capsexp.pipes import Connection
from capsexp.segments import Recognition
from capsexp.server import worker as worker_process
from capsexp.server.messages import Done, Failed, SegmentJob, TextJob, WorkerReady, send_job
from capsexp.server.pools.base import patience as worker_patience
from capsexp.server.worker import settings_of

BEAT = ".beat"  # touched whenever something was done
LOOK_S = 1.0
SEGMENT_S = 60.0  # at least, for a segment: when a worker of the server counts as stuck is another matter
LOAD_S = 120.0  # at least, for a model to be loaded by all processes


def loading(config: Config) -> float:
    """How long processes may take to load. A short limit for the server, which may run already, is none for these."""
    return max(config.server.ready_timeout, LOAD_S)


def patience(config: Config) -> float:
    """How long a process may take for the longest segment."""
    return max(SEGMENT_S, config.server.stuck_s + config.server.stuck_rtf * config.load.longest_segment_s)


@dataclass(frozen=True)
class Heard:
    """`answers`: in the jobs' order; `each_s`: seconds that each took. `makespan_s`: seconds from the first job to
    the last answer; `busy_s`: seconds from the first job until a process had finished its last one, averaged over the
    processes."""

    answers: list[Recognition]
    each_s: list[float]
    makespan_s: float
    busy_s: float


class PlainProcesses:
    """`count` processes, which have loaded. `beat` is called whenever one of them has done something. Raises
    EngineError where they do not load in time."""

    def __init__(self, config: Config, count: int, beat: Callable[[], None], run_dir: Path | None = None) -> None:
        self._config, self._beat = config, beat
        self._pipes: list[Connection] = []
        self._processes: list[psutil.Process] = []
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, settings_of(config, run_dir), config.threads, os.getpid())
            process = context.Process(target=worker_process.main, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(psutil.Process(process.pid))
        allowed = loading(config)
        until = time.monotonic() + allowed
        self.load_s = max(ready(pipe, until, f"{allowed:g} s (server.ready_timeout)") for pipe in self._pipes)
        beat()

    def cpu_s(self) -> float:
        """Seconds of CPU that they have used so far."""
        return float(sum(t.user + t.system for t in (p.cpu_times() for p in self._processes)))

    def work(self, jobs: Sequence[SegmentJob | TextJob]) -> Heard:
        """Each by whoever is free; a job's `id` is its place. Raises EngineError where one fails, or takes too long."""
        server, texts = self._config.server, [job.text for job in jobs if isinstance(job, TextJob)]
        each = (worker_patience(text, server.stuck_s, server.stuck_rtf) for text in texts)
        longest = max([patience(self._config), *each])
        told = f"{longest:.0f} s (server.stuck_s + server.stuck_rtf x a segment's length)"
        late = f"a segment was not recognized within {told}; raise server.stuck_rtf, or use a faster model"
        answers: list[Recognition] = [Recognition([])] * len(jobs)
        each_s = [0.0] * len(jobs)
        waiting, count = list(jobs)[::-1], len(self._pipes)
        flight = dict.fromkeys(self._pipes, 0)
        began = time.monotonic()
        idle = dict.fromkeys(self._pipes, began)  # since when

        def give(pipe: Connection) -> None:
            send_job(pipe, waiting.pop())
            flight[pipe] += 1

        # A second one ahead, so that no process waits for a copy; not at the end, as in the server.
        for depth in (1, 2):
            for pipe in self._pipes:
                if waiting and (depth == 1 or len(waiting) >= count):
                    give(pipe)
        while any(flight.values()):
            answered = wait([p for p, n in flight.items() if n], longest)
            if not answered:
                raise EngineError(late)
            for one in answered:
                pipe = cast(Connection, one)
                answer = _done(_receive(pipe, time.monotonic() + longest, told))
                self._beat()
                answers[answer.id], each_s[answer.id] = answer.heard, answer.finished - answer.started
                idle[pipe] = answer.finished
                flight[pipe] -= 1
                if waiting and (flight[pipe] == 0 or len(waiting) >= count):
                    give(pipe)
        busy = [since - began for since in idle.values()]
        return Heard(answers, each_s, time.monotonic() - began, sum(busy) / count)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


class Beat:
    """A sign of progress for the parent process: touches a file, at most every LOOK_S. Raises StorageError."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0
        self()

    def __call__(self) -> None:
        if time.monotonic() - self._last > LOOK_S:
            self._last = time.monotonic()
            with storing(self._path.name):
                self._path.touch()


def ready(pipe: Connection, until: float, told: str) -> float:
    """Seconds that a process took to load; raises EngineError."""
    message = _receive(pipe, until, told)
    if isinstance(message, WorkerReady):
        return message.load_s
    raise EngineError(message.reason if isinstance(message, Failed) else str(message))


def _done(answer: WorkerReady | Done | Failed) -> Done:
    if not isinstance(answer, Done):
        raise EngineError(f"a segment failed: {answer.reason if isinstance(answer, Failed) else answer}")
    return answer


def _receive(pipe: Connection, until: float, told: str) -> WorkerReady | Done | Failed:
    """The next message; raises EngineError where none has come by then, with what was `told` of the limit."""
    try:
        if not pipe.poll(max(0.0, until - time.monotonic())):
            raise EngineError(f"a process of the reference said nothing within {told}")
        message: WorkerReady | Done | Failed = pipe.recv()
    except (EOFError, OSError):
        raise EngineError("a process of the reference died") from None
    return message
