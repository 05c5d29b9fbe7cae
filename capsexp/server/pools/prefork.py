"""pool=prefork: one process loads the model and forks the workers, which share its memory. Linux.

The loader is a process apart and never has a second thread: a fork copies locks in the state another thread left them
in. It gets each worker's end of a pipe with the request to fork, and keeps none of them: a pipe ends when its worker
does.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn

from capsexp.errors import ServerError
from capsexp.files import tell
from capsexp.lifeline import die_with_parent
from capsexp.server import worker
from capsexp.server.messages import Failed, Measured, Started, WorkerSettings, failure
from capsexp.server.pools.process import uss_mb
from capsexp.server.spawn_reserve import is_passing
from capsexp.waiting import ends

assert sys.platform == "linux"  # config refuses pool=prefork elsewhere


class ForkedWorkerHandle:
    """A worker that is not our own child. A descriptor of the process keeps us from signalling whoever gets its pid."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self._pid: int | None = None
        self._descriptor: int | None = None

    @property
    def pid(self) -> int | None:
        return self._pid

    @pid.setter
    def pid(self, pid: int | None) -> None:
        self._pid = pid
        if pid is None:
            return
        with contextlib.suppress(OSError):  # it has died already, and its pipe says so
            self._descriptor = os.pidfd_open(pid)

    def alive(self) -> bool:
        if self._descriptor is not None and ends(self._descriptor, 0.0):
            os.close(self._descriptor)
            self._descriptor = None
        return self._descriptor is not None  # one that was not forked yet is the loader's business

    def __del__(self) -> None:
        if self._descriptor is not None:  # of one that was replaced: nobody asked how it ended
            os.close(self._descriptor)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, signum: int) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signum)

    def ended(self) -> str:
        self.alive()  # lets go of the descriptor
        return "forked; the server's log has its exit code"


class PreforkLauncher:
    def __init__(self, settings: WorkerSettings, threads: int, on_loader: Callable[[int], None]) -> None:
        self._settings, self._threads, self._on_loader = settings, threads, on_loader
        self._loader: SpawnProcess | None = None
        self._control: socket.socket | None = None

    def start(self, number: int) -> ForkedWorkerHandle:
        ours, theirs = multiprocessing.Pipe(duplex=True)
        with theirs:
            for _ in range(2):
                if self._control is None or not self.alive():
                    self._begin()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [number.to_bytes(4, "big")], [theirs.fileno()])
                    break
                except OSError as error:  # it has just died
                    self._control.close()
                    self._control, failed = None, error
            else:
                ours.close()
                raise failed
        return ForkedWorkerHandle(ours)

    def _begin(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        context = multiprocessing.get_context("spawn")
        loader = context.Process(
            target=main, args=(theirs, self._settings, self._threads, os.getpid()), name="capsexp-loader", daemon=True
        )
        with theirs:
            loader.start()
        self._loader = loader
        assert loader.pid is not None
        self._on_loader(loader.pid)

    def each_mb(self, first: Any, measured: Measured) -> float:
        return uss_mb(first.pid) + measured.freed_mb  # what it does not share

    def settle(self, count: int) -> None: ...

    def alive(self) -> bool:
        return self._loader is not None and self._loader.is_alive()

    def terminate(self) -> None:
        if self._control is not None:
            self._control.close()  # nothing more to fork: it ends with its last worker
        self._control = None

    def kill(self) -> None:
        if self._loader is not None:
            self._loader.kill()


def main(control: socket.socket, settings: WorkerSettings, threads: int, parent: int) -> None:
    """The loader: load the engine once, then fork a worker for each request, until the gateway closes the socket."""
    worker.prepare(threads, parent, settings)
    began = time.monotonic()
    try:
        engine = worker.load(settings, threads)
    except Exception as error:
        _, (descriptor,), _, _ = socket.recv_fds(control, 4, 1)
        Connection(descriptor).send(failure(None, error))
        return
    tell(f"loader ready after {time.monotonic() - began:.2f} s (pid {os.getpid()})")
    gc.collect()
    gc.freeze()  # the collector would write to every page it shares
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap()
        if control.fileno() not in ready:
            continue
        asked, descriptors, _, _ = socket.recv_fds(control, 4, 1)
        if not asked:
            return
        if not descriptors:  # none was free to receive it with: the pipe has ended
            continue
        loader = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            with contextlib.suppress(OSError), Connection(descriptors[0]) as pipe:
                pipe.send(Failed(None, f"cannot be forked: {error.strerror}", is_passing(error)))
            continue
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            os.close(woken)
            os.close(wake)
            _work(engine, Connection(descriptors[0]), loader, settings, int.from_bytes(asked, "big"))
        os.close(descriptors[0])


def _work(engine: Any, pipe: Connection, loader: int, settings: WorkerSettings, number: int) -> NoReturn:
    code = 1
    try:
        die_with_parent(loader)
        pipe.send(Started(os.getpid()))
        cpus = worker.pin(settings, number)
        worker.serve(engine, pipe, time.monotonic(), cpus=cpus)
        code = 0
    except ServerError as error:
        with contextlib.suppress(OSError):
            pipe.send(failure(None, error))
    except OSError:
        pass  # the gateway has gone
    finally:
        sys.stdout.flush()
        os._exit(code)  # not the loader's way out


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if code:
                tell(f"worker with pid {pid} ended with exit code {code}")
