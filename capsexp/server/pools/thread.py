"""pool=thread: one process that loads the model once, N threads in it. Not in the gateway, which must stay free to
receive, cut and merge, and must outlive a crash in the engine's library."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import SpawnProcess
from typing import Any

from capsexp.pipes import Connection
from capsexp.server import worker
from capsexp.server.messages import Measured, WorkerSettings
from capsexp.server.pools.process import ProcessWorkerHandle


class ThreadLauncher:
    """`count` workers share a process; when it dies they all do, and the first to be started again starts the next."""

    def __init__(self, settings: WorkerSettings, threads: int, count: int) -> None:
        self._settings, self._threads, self._count = settings, threads, count
        self._process: SpawnProcess | None = None
        self._unclaimed: dict[int, Connection] = {}

    def start(self, number: int) -> ProcessWorkerHandle:
        if number not in self._unclaimed:
            self._begin()
        assert self._process is not None
        return ProcessWorkerHandle(self._process, self._unclaimed.pop(number))

    def _begin(self) -> None:
        self.kill()  # what is left of the last one
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe(duplex=True) for _ in range(self._count)]
        process = context.Process(
            target=worker.main_threads,
            args=([theirs for _, theirs in pairs], self._settings, self._threads, os.getpid()),
            name="capsexp-workers",
            daemon=True,
        )
        process.start()
        self._process = process
        for _, theirs in pairs:
            theirs.close()
        for stale in self._unclaimed.values():
            stale.close()
        self._unclaimed = dict(enumerate(ours for ours, _ in pairs))

    def each_mb(self, first: Any, measured: Measured) -> float:
        return measured.grown_mb  # the model is there

    def settle(self, count: int) -> None:
        self._count = count
        for number in [n for n in self._unclaimed if n >= count]:
            self._unclaimed.pop(number).close()

    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
