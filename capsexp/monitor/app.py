"""The monitor as a program: in a run it writes monitor.csv until it is told to stop; alone it shows a server live."""

from __future__ import annotations

import contextlib
import gc
import queue
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from capsexp import lifeline, machine, tool
from capsexp.config import Config
from capsexp.csvfile import BoundedCsv, CsvFile
from capsexp.errors import ConfigError, ServerError
from capsexp.files import storing, write_json, write_text
from capsexp.monitor.probes.base import Row
from capsexp.monitor.sampler import MONITOR, Sampler
from capsexp.results.tables import SERVER_ROLES, read_rows
from capsexp.runfiles import MONITOR_READY, PIDS

Page = Callable[[str, Sequence[Mapping[str, Any]]], str]  # of what was watched, and its rows in monitor.csv
MOST_TICKS = 2000  # of which a page is made

# What asks us to stop is a thread or a signal handler; unlike an Event, a SimpleQueue may be used in the latter.
Stop = queue.SimpleQueue[None]


def main(argv: Sequence[str], page: Page | None = None) -> int:
    """`page` makes the page that monitor.html asks for."""
    aliases = {
        "--port": "monitor.port", "--pid": "monitor.pid", "--interval": "monitor.interval", "--log": "monitor.log",
        "--html": "monitor.html",
    }  # fmt: skip
    call = tool.parse(argv, "python -m capsexp.monitor", "Watch a server's processes: memory, CPU, disk.", aliases)
    stop: Stop = queue.SimpleQueue()
    if call.guarded:
        lifeline.on_stdin_closed(lambda: stop.put(None))
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda signum, frame: stop.put(None))
    if call.run_dir is not None:
        _in_run(call, call.run_dir, stop)
    else:
        _alone(call, stop, page)
    return 0


def _in_run(call: tool.Call, run_dir: Path, stop: Stop) -> None:
    watched = {}
    for entry in call.watch:
        role, _, pid = entry.partition(":")
        if not pid.isdigit():
            raise ConfigError(f"--watch {entry}: needs role:pid")
        watched[int(pid)] = role
    sampler = Sampler(watched, run_dir / PIDS, call.config.monitor.probes)
    # Rows make no cycles, and a collection in a tick costs more than the tick.
    gc.collect()
    gc.disable()
    most = call.config.report.max_rows // 4
    with contextlib.ExitStack() as stack:
        stack.callback(sampler.close)
        tables = {
            name: stack.enter_context(contextlib.closing(_bounded(run_dir / f"{name}.csv", name, columns, most)))
            for name, columns in sampler.tables.items()
        }
        told: object = None
        for number, now in enumerate(ticks(call.config.monitor.interval, stop)):
            for name, rows in sampler.tick(now).items():
                tables[name].write([{**row, "time_s": now - call.zero} for row in rows])
                tables[name].flush()
            if told != sampler.faults:
                told = dict(sampler.faults)
                write_json(run_dir / "probes.json", msgspec.to_builtins(sampler.about()))
            if number == 0:
                write_text(run_dir / MONITOR_READY, "")


def _bounded(path: Path, name: str, columns: Sequence[str], most: int) -> BoundedCsv:
    return BoundedCsv(path, columns, most, used_mb) if name == MONITOR else BoundedCsv(path, columns, most)


def _alone(call: tool.Call, stop: Stop, page: Page | None) -> None:
    from capsexp.monitor.live import Live

    config = call.config.monitor
    server = _find(call.config)
    sampler = Sampler({server.pid: "gateway"}, None)
    peak, column, why = 0.0, "pss_mb", "stopped"
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(_table(Path(config.log), sampler.tables[MONITOR], call.zero)) if config.log else None
        seen = (
            stack.enter_context(_recorded(Path(config.html), sampler.tables[MONITOR], server.pid, page))
            if config.html and page
            else None
        )
        live = Live(server.pid, config.live)
        stack.callback(live.close)
        stack.callback(sampler.close)
        for now in ticks(config.interval, stop):
            rows = sampler.tick(now)[MONITOR]
            if not any(row["pid"] == server.pid for row in rows if row["role"] in SERVER_ROLES):
                why = "the server has ended"
                break
            column = memory_column(rows)
            peak = max(peak, total(rows, column))
            live.show(now, rows)
            if log is not None:
                log(now, rows)
            if seen is not None:
                seen([{**row, "time_s": now - began} for row in rows])
    name = column.removesuffix("_mb").upper()
    print(f"{why} after {time.monotonic() - began:.0f} s; peak {name} of the server's processes: {peak:.0f} MiB")


def ticks(interval: float, stop: Stop) -> Iterator[float]:
    """The moments (time.monotonic()) to sample at: now, every `interval` seconds without drift, and once more after
    `stop` was asked for. A tick that would come too late to be in time for the next one is left out."""
    deadline = time.monotonic()
    while True:
        yield time.monotonic()
        deadline += interval
        late = time.monotonic() - deadline
        if late > 0:
            deadline += (late // interval + 1) * interval
        try:
            stop.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            continue
        yield time.monotonic()
        return


def memory_column(rows: Sequence[Row]) -> str:
    """The best measure of memory that is known for all of the server's processes. RSS, the last resort, counts
    shared pages once for each process."""
    server = [row for row in rows if row["role"] in SERVER_ROLES]
    return next((c for c in ("pss_mb", "uss_mb") if server and all(row.get(c) is not None for row in server)), "rss_mb")


def used_mb(rows: Sequence[Mapping[str, Any]]) -> float:
    """What the server's processes use, by the best measure that this platform has: where one of them knows it, what
    the others do not know (they are ending) is nothing."""
    server = [row for row in rows if row["role"] in SERVER_ROLES]
    columns = ("pss_mb", "uss_mb", "rss_mb")
    return total(server, next((c for c in columns if any(row.get(c) is not None for row in server)), "rss_mb"))


def total(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    """Of the server's processes; what is unknown counts as 0."""
    return sum(row.get(column) or 0.0 for row in rows if row["role"] in SERVER_ROLES)


@contextlib.contextmanager
def _table(path: Path, columns: Sequence[str], zero: float) -> Iterator[Callable[[float, list[Row]], None]]:
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"monitor.log: cannot write {path}: {error.strerror}") from None
    with storing(path.name), file:
        table = CsvFile(file, columns)

        def write(now: float, rows: list[Row]) -> None:
            for row in rows:
                table.write({"time_s": now - zero, **row})
            table.flush()

        yield write


@contextlib.contextmanager
def _recorded(path: Path, columns: Sequence[str], pid: int, page: Page) -> Iterator[Callable[[list[Row]], None]]:
    """Takes the rows of each tick, of which in the end a page is made; however long it was, of so many of them."""
    try:
        path.open("w").close()  # said before anything is watched, and not in the end
    except OSError as error:
        raise ConfigError(f"monitor.html: cannot write {path}: {error.strerror}") from None
    with tempfile.TemporaryDirectory() as folder:
        table = BoundedCsv(Path(folder) / "monitor.csv", columns, MOST_TICKS, used_mb)
        try:
            yield table.write
        finally:
            table.close()
            write_text(path, page(f"process {pid}", read_rows(Path(folder) / "monitor.csv")))


def _find(config: Config) -> psutil.Process:
    pid, port = config.monitor.pid, config.monitor.port
    if pid is None:
        port = config.server.port if port is None else port
        try:
            pid = machine.listener(port)
        except PermissionError:
            raise ServerError(
                f"the server on port {port} is another user's: run the monitor as them, or give monitor.pid"
            ) from None
        if pid is None:
            raise ServerError(
                f"no server listens on port {port}: "
                "start it first (python -m capsexp.server) or give another monitor.port"
            )
    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError):
        raise ServerError(f"there is no process {pid}: give the server's own as monitor.pid, or monitor.port") from None
