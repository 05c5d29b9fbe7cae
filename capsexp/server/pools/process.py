"""pool=process: N spawned processes, each with its own model."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import SpawnProcess
from typing import Any

import psutil

from capsexp.pipes import Connection
from capsexp.server import worker
from capsexp.server.messages import Measured, WorkerSettings


class ProcessWorkerHandle:
    """A process of ours and the pipe to it; several workers may share the process."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.process, self.pipe = process, pipe
        self.pid: int | None = process.pid

    def alive(self) -> bool:
        return self.process.is_alive()

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()

    def ended(self) -> str:
        self.process.join(timeout=1)  # the pipe ends a moment before the process does
        return f"exit code {self.process.exitcode}"


class ProcessLauncher:
    def __init__(self, settings: WorkerSettings, threads: int) -> None:
        self._settings, self._threads = settings, threads

    def start(self, number: int) -> ProcessWorkerHandle:
        # On the loop's thread: Linux ties the child's life to the thread that started it.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(
            target=worker.main,
            args=(theirs, self._settings, self._threads, os.getpid(), number),
            name=f"capsexp-worker-{number}",
            daemon=True,
        )
        process.start()
        theirs.close()
        return ProcessWorkerHandle(process, ours)

    def each_mb(self, first: Any, measured: Measured) -> float:
        return uss_mb(first.pid) + measured.freed_mb

    def settle(self, count: int) -> None: ...

    def alive(self) -> bool:
        return False

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def uss_mb(pid: int | None) -> float:
    """Memory of this process alone; 0 where that cannot be known."""
    try:
        return float(psutil.Process(pid).memory_full_info().uss) / 2**20
    except psutil.Error:
        return 0.0
