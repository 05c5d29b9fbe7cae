"""The server as a program: bind, load, say that it is ready, serve, stop without leaving anything behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from capsexp import debug, lifeline, tool, topology
from capsexp.config import Config, worker_count
from capsexp.errors import CapsexpError, RunRefused, ServerError, StorageError
from capsexp.files import tell
from capsexp.placement import Pins, assign, impossible, spelled
from capsexp.protocol import in_url
from capsexp.results.handover import ReadyWorker, ServerFailed, ServerReady
from capsexp.results.write import write
from capsexp.runfiles import SERVER
from capsexp.segments import Segment
from capsexp.server.capacity import is_ample, refuse_or_reduce
from capsexp.server.core.order import order
from capsexp.server.core.scheduler import Scheduler
from capsexp.server.core.session import Limits
from capsexp.server.gateway import Gateway
from capsexp.server.handshake_policy import HandshakePolicy, connections_that_fit, tls
from capsexp.server.listener import Listener, bind
from capsexp.server.log_limit import LogLimit
from capsexp.server.memory_budget import MemoryBudget
from capsexp.server.pools import for_server, most_workers
from capsexp.server.pools.base import PendingWork, Recognized, RetriesExhausted, WorkerInfo, patience
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.receive_throttle import ReceiveThrottle
from capsexp.server.record import ServerTables
from capsexp.server.websocket_server import WebSocketServer
from capsexp.server.worker import settings_of

if TYPE_CHECKING:
    from capsexp.server.pools.ray_nodes import Node

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    aliases = {"--port": "server.port", "--host": "server.host", "--workers": "workers"}
    call = tool.parse(
        argv, "python -m capsexp.server", "A CapsWriter speech-recognition server with N workers.", aliases
    )
    call.config.engine.prepare(print)
    told = logging.StreamHandler(sys.stderr)  # beside the run's debug.log
    told.setFormatter(debug.Brief(alone=call.run_dir is None))
    logging.getLogger().addHandler(told)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("websockets").setLevel(
        logging.CRITICAL
    )  # a scan of the port is not our error; ours are told here
    try:
        return asyncio.run(_Server(call).run())
    except CapsexpError as error:
        if call.run_dir is not None and not isinstance(error, StorageError):  # which the exit code says
            write(call.run_dir / SERVER, ServerFailed(error=str(error), refused=isinstance(error, RunRefused)))
        raise


class _Server:
    def __init__(self, call: tool.Call) -> None:
        self.config: Config = call.config
        self.run_dir, self.zero, self.guarded = call.run_dir, call.zero, call.guarded
        self.warnings: list[str] = []
        self.connections = self.config.server.max_connections
        self.record: ServerTables | None = None
        self.stop = asyncio.Event()

    async def run(self) -> int:
        config, stop = self.config, self.stop
        self._stop_on_request(stop)
        if self.run_dir is not None:
            self.record = ServerTables(self.run_dir, self.zero, config.report.max_rows, stop.set)
        with bind(config.server.host, config.server.port) as listener:
            count = worker_count(config.workers) or most_workers(config)
            longest = longest_segment_s(config, self.run_dir is not None)
            settings = settings_of(config, self.run_dir, pins(config, count))
            pool = WorkerPool(
                for_server(config, settings, count, self._on_loader, self._on_node, self._on_driver),
                count,
                config.server.max_retries,
                self._on_worker,
                refuse_or_reduce(config.server.on_low_memory, self._warn),
                lambda work: patience(work, config.server.stuck_s, config.server.stuck_rtf),
                config.server.ready_timeout,
                longest,
                is_ample(longest),
                self._scheduler,
            )
            try:
                if await _first(pool.start(), stop):
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

    async def _serve(self, pool: WorkerPool, listener: Listener, stop: asyncio.Event) -> None:
        config = self.config.server
        held, log_limit = MemoryBudget(config.max_held_mb), LogLimit()
        gateway = Gateway(
            pool,
            config.dispatch,
            config.max_queue or 4 * pool.count,
            self._on_segment,
            self.config.punctuation.name != "none",
            Limits(config.max_audio_s, config.max_tasks, config.send_timeout, config.max_segment_s, config.partial_s),
            held,
            log_limit.say,
        )
        self.connections = connections_that_fit(config.max_connections, log.warning, pool.count)
        policy = HandshakePolicy(config, self.connections, log_limit.say)
        listener.say, listener.room = log_limit.say, policy.room
        goodbye_s = min(1.0, config.grace)
        throttle = ReceiveThrottle(max(8, 2 * pool.count), held)
        server = WebSocketServer(gateway.handle, policy, throttle, held, config.max_message, goodbye_s, tls(config))
        await server.start(listener)
        self._announce(pool, listener)
        await _first(pool.broken.wait(), stop)
        asyncio.get_running_loop().call_later(goodbye_s, gateway.abandon)
        reason = "the server cannot go on" if pool.broken.is_set() else "the server is stopping"
        await gateway.farewell(f"{reason}; send it again later", goodbye_s)
        await server.close(reason)

    def _scheduler(self, workers: int) -> Scheduler[PendingWork]:
        config = self.config.server
        ordered = order(config.schedule, config.passed_over_s)
        return Scheduler(workers, config.max_queue or 4 * workers, config.dispatch, ordered)

    def _announce(self, pool: WorkerPool, listener: Listener) -> None:
        host, port = listener.getsockname()[:2]
        if self.run_dir is not None:
            write(
                self.run_dir / SERVER,
                ServerReady(
                    port=port,
                    pid=os.getpid(),
                    ready_s=round(time.monotonic() - self.zero, 6),
                    workers=tuple(map(_ready, pool.workers())),
                    engine=pool.about,
                    connections=self.connections,
                    warnings=tuple(self.warnings),
                ),
            )
        scheme, workers = "wss" if self.config.server.certfile else "ws", f"{pool.count} worker{'s' * (pool.count > 1)}"
        tell(f"listening on {scheme}://{in_url(host)}:{port} with {workers}; Ctrl-C stops it")

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
        took += f", pinned to CPU {spelled(info.cpus)}" if what == "ready" and info.cpus is not None else ""
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

    def _on_node(self, what: str, node: Node, why: str) -> None:
        tell(f"{node.name} {what}{f': {why}' if why else ''}")
        if self.record is not None and what == "loader":
            self.record.name(int(why), "loader 0")
        elif self.record is not None and what == "joined" and node.hello is not None:
            self.record.name(node.pid_of(node.hello.pid), "helper 0")

    def _on_driver(self, pid: int) -> None:
        tell(f"Ray's driver started (pid {pid})")
        if self.record is not None:
            self.record.name(pid, "infra 0")

    def _on_segment(
        self, task_id: str, segment: Segment, outcome: Recognized | RetriesExhausted | None, queued: float
    ) -> None:
        if self.record is not None:
            self.record.segment(task_id, segment, outcome, queued)

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        log.warning(line)


def pins(config: Config, workers: int) -> tuple[Pins, ...] | None:
    """The CPUs of each worker; None where they are not pinned. Raises RunRefused for what cannot be had here."""
    machine, kind = topology.read(), config.placement.name
    if why := impossible(machine, kind):
        raise RunRefused(why)
    return assign(machine, workers, config.threads, kind)


def _ready(info: WorkerInfo) -> ReadyWorker:
    cpus = None if info.cpus is None else spelled(info.cpus)
    return ReadyWorker(worker=info.worker, pid=info.pid, load_s=info.load_s, cpus=cpus)


def longest_segment_s(config: Config, in_run: bool) -> float:
    """The longest segment that workers are given, in seconds of audio: in a run that of its own client, whose last
    segment holds the rest of a file; else server.max_segment_s."""
    return config.load.longest_segment_s if in_run else config.server.max_segment_s


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
