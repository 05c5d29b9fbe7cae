"""The server as a program: bind, load, say that it is ready, serve, stop without leaving anything behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection, serve

from capsexp import lifeline, tool
from capsexp.config import Config, worker_count
from capsexp.engines.folders import prepare
from capsexp.errors import CapsexpError, RunRefused, ServerError
from capsexp.files import tell, write_json
from capsexp.machine import whole_cpus
from capsexp.protocol import SUBPROTOCOL
from capsexp.segments import Segment
from capsexp.server.doorman import Doorman, Forgetful
from capsexp.server.front import Front, Limits
from capsexp.server.guard import Guard, connections_that_fit, tls
from capsexp.server.pools import launcher
from capsexp.server.pools.base import GaveUp, Outcome, WorkerInfo, patience
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.record import Record
from capsexp.server.room import is_ample, refuse_or_reduce
from capsexp.server.worker import settings_of

log = logging.getLogger(__name__)
MAX_SEGMENT_S = 120.0  # until server.max_segment_s is there


def main(argv: Sequence[str]) -> int:
    aliases = {"--port": "server.port", "--host": "server.host", "--workers": "workers"}
    call = tool.parse(
        argv, "python -m capsexp.server", "A CapsWriter speech-recognition server with N workers.", aliases
    )
    prepare(call.config.engine, print)
    told = logging.StreamHandler(sys.stderr)  # beside the run's debug.log
    told.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(told)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # a scan of the port is not our error
    try:
        return asyncio.run(_Server(call).run())
    except CapsexpError as error:
        if call.run_dir is not None:
            write_json(call.run_dir / "server.json", {"error": str(error), "refused": isinstance(error, RunRefused)})
        raise


class _Server:
    def __init__(self, call: tool.Call) -> None:
        self.config: Config = call.config
        self.run_dir, self.zero, self.guarded = call.run_dir, call.zero, call.guarded
        self.warnings: list[str] = []
        self.connections = self.config.server.max_connections
        self.record: Record | None = None
        self.stop = asyncio.Event()

    async def run(self) -> int:
        config, stop = self.config, self.stop
        self._stop_on_request(stop)
        if self.run_dir is not None:
            self.record = Record(self.run_dir, self.zero, config.report.max_rows, stop.set)
        with bind(config.server.host, config.server.port) as listener:
            count = worker_count(config.workers) or max(1, whole_cpus() // config.threads)
            longest = longest_segment_s(config, self.run_dir is not None)
            pool = WorkerPool(
                launcher(config.pool.name, settings_of(config), config.threads, count, self._on_loader),
                count,
                config.server.max_retries,
                self._on_worker,
                refuse_or_reduce(config.server.on_low_memory, self._warn),
                lambda work: patience(work, config.server.stuck_s, config.server.stuck_rtf),
                config.server.ready_timeout,
                longest,
                is_ample(longest),
            )
            try:
                if not await _first(pool.start(), stop):
                    return 0
                await self._serve(pool, listener, stop)
            finally:
                await pool.stop(config.server.grace)
                if self.record is not None:
                    self.record.close()
        if pool.broken.is_set():
            raise ServerError(pool.reason)
        if self.record is not None and self.record.lost is not None:
            raise self.record.lost
        return 0

    async def _serve(self, pool: WorkerPool, listener: socket.socket, stop: asyncio.Event) -> None:
        config = self.config.server
        front = Front(
            pool,
            config.dispatch,
            config.max_queue or 4 * pool.count,
            self._on_segment,
            self.config.punctuation.name != "none",
            Limits(config.max_audio_s, config.max_tasks, config.send_timeout),
        )
        doorman = Doorman(max(8, 2 * pool.count))
        self.connections = connections_that_fit(config.max_connections, log.warning)
        guard = Guard(config, self.connections)

        async def handle(connection: ServerConnection) -> None:
            async with guard.counted():
                await front.handle(connection, doorman.door(connection.transport))

        async with serve(
            handle,
            sock=listener,
            backlog=min(4096, config.max_connections),
            ssl=tls(config),
            process_request=guard.admit,
            origins=[None],  # a web page that its user visits must not reach a server on their machine
            compression=None,  # float audio does not compress, and the attempt costs 5x in throughput
            max_size=config.max_message,
            max_queue=0,  # the next message waits in the kernel, not in our memory
            ping_interval=None,  # a connection that back-pressure holds is slow, not dead
            select_subprotocol=_subprotocol,
            create_connection=Forgetful,
            close_timeout=min(1.0, config.grace),
        ):
            self._announce(pool, listener)
            await _first(pool.broken.wait(), stop)
            asyncio.get_running_loop().call_later(min(1.0, config.grace), front.abandon)
        doorman.close()

    def _announce(self, pool: WorkerPool, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        if self.run_dir is not None:
            write_json(
                self.run_dir / "server.json",
                {
                    "port": port,
                    "pid": os.getpid(),
                    "ready_s": round(time.monotonic() - self.zero, 6),
                    "workers": [{"worker": w.worker, "pid": w.pid, "load_s": w.load_s} for w in pool.workers()],
                    "engine": pool.about,
                    "connections": self.connections,
                    "warnings": self.warnings,
                },
            )
        scheme, workers = "wss" if self.config.server.certfile else "ws", f"{pool.count} worker{'s' * (pool.count > 1)}"
        tell(f"listening on {scheme}://{host}:{port} with {workers}; Ctrl-C stops it")

    def _stop_on_request(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(signum, stop.set)
            except NotImplementedError:  # Windows: Ctrl-C arrives as KeyboardInterrupt
                pass
        if self.guarded:
            lifeline.on_stdin_closed(lambda: (loop.call_soon_threadsafe(stop.set), None)[1])

    def _on_worker(self, what: str, info: WorkerInfo) -> None:
        took = f" after {info.load_s:.2f} s" if what == "ready" and info.load_s is not None else ""
        why = f": {info.reason}" if what in ("died", "waiting") else ""
        tell(f"worker {info.worker} {what}{took} (pid {info.pid}){why}")
        if self.record is not None:
            self.record.worker(what, info)
            if what == "started":
                self.record.name(info.pid, f"worker {info.worker}")

    def _on_loader(self, pid: int) -> None:
        tell(f"loader started (pid {pid})")
        if self.record is not None:
            self.record.name(pid, "loader 0")

    def _on_segment(self, task_id: str, segment: Segment, outcome: Outcome | GaveUp | None, queued: float) -> None:
        if self.record is not None:
            self.record.segment(task_id, segment, outcome, queued)

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        log.warning(line)


def longest_segment_s(config: Config, in_run: bool) -> float:
    """Of audio: what a run's own client asks for (its last segment has the rest of a file), else what anybody may."""
    return (
        config.load.seg_duration + 2 * config.load.seg_overlap
        if in_run
        else float(getattr(config.server, "max_segment_s", MAX_SEGMENT_S))
    )


def bind(host: str, port: int) -> socket.socket:
    """Take the port before the models load; raises ServerError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServerError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses it or choose another server.port"
        ) from None
    return listener


def _subprotocol(connection: object, offered: Sequence[websockets.Subprotocol]) -> websockets.Subprotocol | None:
    return websockets.Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


async def _first(work: Coroutine[Any, Any, object], stop: asyncio.Event) -> bool:
    """Whether `work` ended before a stop was asked for; raises what it raised."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        await doing
        return True
    doing.cancel()
    return False
