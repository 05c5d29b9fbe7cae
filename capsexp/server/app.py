"""The server as a program: bind, load, say that it is ready, serve, stop without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection, serve

from capsexp import lifeline, tool
from capsexp.config import Config, worker_count
from capsexp.engines.folders import prepare
from capsexp.errors import CapsexpError, RunRefused, ServerError, StorageError
from capsexp.files import BoundedCsv, CsvFile, storing, tell, write_json
from capsexp.machine import usable_cpus
from capsexp.protocol import SUBPROTOCOL
from capsexp.segments import Segment
from capsexp.server.doorman import Doorman, Forgetful
from capsexp.server.front import Front, Limits
from capsexp.server.guard import Guard, connections_that_fit, tls
from capsexp.server.pools import launcher
from capsexp.server.pools.base import GaveUp, Outcome, WorkerInfo
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.room import refuse_or_reduce
from capsexp.server.worker import settings_of

log = logging.getLogger(__name__)

SEGMENT_COLUMNS = (
    "task_id", "segment", "offset_s", "audio_s", "new_s", "worker", "pid", "queued_s", "started_s", "finished_s",
    "queue_wait_s", "compute_s", "retries", "status",
)  # fmt: skip
WORKER_COLUMNS = ("time_s", "worker", "pid", "event", "reason")

STORE_S = 5.0  # at most, until a row is in its file


def main(argv: Sequence[str]) -> int:
    aliases = {"--port": "server.port", "--host": "server.host", "--workers": "workers"}
    call = tool.parse(
        argv, "python -m capsexp.server", "A CapsWriter speech-recognition server with N workers.", aliases
    )
    prepare(call.config.engine, print)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
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
        self.segments: BoundedCsv | None = None
        self.events: CsvFile | None = None
        self.counts: Counter[str] = Counter()  # of all segments, where the table holds not every one
        self.stored = time.monotonic()
        self.lost: StorageError | None = None  # the rows cannot be written any more
        self.stop = asyncio.Event()

    async def run(self) -> int:
        config, stop = self.config, self.stop
        self._stop_on_request(stop)
        if self.run_dir is not None:
            (self.run_dir / ".pids").mkdir(exist_ok=True)
        with bind(config.server.host, config.server.port) as listener:
            count = worker_count(config.workers) or max(1, usable_cpus() // config.threads)
            pool = WorkerPool(
                launcher(config.pool.name, settings_of(config), config.threads, count, self._on_loader),
                count,
                config.server.max_retries,
                self._on_worker,
                refuse_or_reduce(config.server.on_low_memory, self._warn),
                lambda work: config.server.stuck_s + config.server.stuck_rtf * getattr(work, "audio_s", 0.0),
                config.server.ready_timeout,
            )
            with contextlib.ExitStack() as files:
                self._open_tables(files)
                try:
                    if not await _first(pool.start(), stop):
                        return 0
                    await self._serve(pool, listener, stop)
                finally:
                    await pool.stop(config.server.grace)
        if pool.broken.is_set():
            raise ServerError(pool.reason)
        if self.lost is not None:
            raise self.lost
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
        guard = Guard(config, connections_that_fit(config.max_connections, log.warning))

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

    def _open_tables(self, files: contextlib.ExitStack) -> None:
        """segments.csv and workers.csv of a run."""
        if self.run_dir is None:
            return
        self.segments = BoundedCsv(self.run_dir / "segments.csv", SEGMENT_COLUMNS, self.config.report.max_rows)
        files.callback(self._close_tables)
        with storing("workers.csv"):
            self.events = CsvFile(
                files.enter_context((self.run_dir / "workers.csv").open("w", newline="")), WORKER_COLUMNS
            )

    def _close_tables(self) -> None:
        self._store(final=True)
        self.segments = self.events = None

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
        why = f": {info.reason}" if what == "died" else ""
        tell(f"worker {info.worker} {what}{took} (pid {info.pid}){why}")
        if self.events is not None:
            row = {"worker": info.worker, "pid": info.pid, "event": what, "reason": info.reason or None}
            with self._keeping():
                self.events.write({"time_s": time.monotonic() - self.zero, **row})
                self.events.flush()
        if what == "started":
            self._name(info.pid, f"worker {info.worker}")

    def _on_loader(self, pid: int) -> None:
        tell(f"loader started (pid {pid})")
        self._name(pid, "loader 0")

    def _name(self, pid: int | None, part: str) -> None:
        """Tell the monitor what this process is."""
        if self.run_dir is not None:
            (self.run_dir / ".pids" / str(pid)).write_text(part)

    def _on_segment(self, task_id: str, segment: Segment, outcome: Outcome | GaveUp | None, queued: float) -> None:
        if self.segments is None:
            return
        row: dict[str, object] = {
            "task_id": task_id, "segment": segment.index, "offset_s": segment.offset_s, "audio_s": segment.audio_s,
            "new_s": segment.new_s, "queued_s": queued - self.zero,
            "status": "cancelled" if outcome is None else "failed",
        }  # fmt: skip
        if isinstance(outcome, GaveUp):
            row["retries"] = outcome.retries
        if isinstance(outcome, Outcome):
            row |= {
                "status": "ok",
                "worker": outcome.worker, "pid": outcome.pid, "started_s": outcome.started - self.zero,
                "finished_s": outcome.finished - self.zero, "queue_wait_s": outcome.started - outcome.queued,
                "compute_s": outcome.finished - outcome.started, "retries": outcome.retries,
            }  # fmt: skip
        self.counts.update({str(row["status"]): 1, "retries": outcome.retries if outcome is not None else 0})
        with self._keeping():
            self.segments.write([row])
        if time.monotonic() - self.stored > STORE_S:
            self._store()

    def _store(self, final: bool = False) -> None:
        self.stored = time.monotonic()
        if self.segments is None or self.run_dir is None:
            return
        with self._keeping():
            if self.segments.every > 1:
                write_json(self.run_dir / "segments.json", {"every": self.segments.every, **self.counts})
            self.segments.close() if final else self.segments.flush()

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """What cannot be kept any more ends the server, with its reason."""
        try:
            yield
        except StorageError as error:
            self.lost, self.segments, self.events = self.lost or error, None, None
            self.stop.set()

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        log.warning(line)


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
