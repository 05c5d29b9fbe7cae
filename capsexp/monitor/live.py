"""What the monitor shows when it runs alone: a table that keeps changing on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from capsexp.monitor.probes.base import Row
from capsexp.monitor.sparkline import sparkline
from capsexp.results.tables import SERVER_ROLES

SPARK = 60  # ticks that are shown over time
# Narrow enough for 80 characters.
COLUMNS = (
    "pid", "PSS", "USS", "RSS", "CPU s", "CPU %", "threads", "faults", "read", "written",
)  # fmt: skip


class Live:
    """`table`: whether a changing table is wanted at all."""

    def __init__(self, server: int, table: bool) -> None:
        self._server = server
        self._began: float | None = None
        self._before: tuple[float, dict[int, float]] = (0.0, {})
        self._view: Any = None
        self._memory, self._cpus = deque[float](maxlen=SPARK), deque[float](maxlen=SPARK)
        if table and sys.stdout.isatty():
            try:
                from rich.live import Live as View
            except ImportError:  # the lines tell the same
                return
            self._view = View(auto_refresh=False)
            self._view.start()

    def close(self) -> None:
        if self._view is not None:
            self._view.stop()

    def show(self, now: float, rows: Sequence[Row]) -> None:
        """`now` in seconds of time.monotonic()."""
        self._began = now if self._began is None else self._began
        percent = self._percent(now, rows)
        system = next(row for row in rows if row["role"] == "system")
        server = [row for row in rows if row["role"] in SERVER_ROLES]
        title = f"{now - self._began:.1f} s, server {self._server}"
        sums = [_sum(server, column) for column in ("rss_mb", "pss_mb", "uss_mb")]
        cores = sum(percent.get(row["pid"], 0.0) for row in server)
        if self._view is None:
            rss, pss, uss = map(_number, sums)
            memory = f"{len(server)} processes, PSS {pss} USS {uss} RSS {rss} MiB"
            cpu = f"CPU {_number(_sum(server, 'cpu_s'), 1)} s ({cores:.0f} %)"
            print(f"{title}: {memory}, {cpu}; {_machine(system)}", flush=True)
            return
        from rich.box import SIMPLE
        from rich.table import Table

        self._memory.append(next((value for value in (sums[1], sums[2], sums[0]) if value is not None), 0.0))
        self._cpus.append(cores)
        caption = f"memory {sparkline(self._memory, SPARK)}\nCPU {sparkline(self._cpus, SPARK)}\n{_machine(system)}"
        table = Table(title=title, caption=caption, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("process", no_wrap=True)
        for name in COLUMNS:
            table.add_column(name, justify="right", no_wrap=True)
        for row in sorted(server, key=_order):
            table.add_row(*_cells(row, percent))
        table.add_section()
        table.add_row(
            "server", "", _number(sums[1]), _number(sums[2]), _number(sums[0]),
            _number(_sum(server, "cpu_s"), 1), f"{cores:.0f}", _number(_sum(server, "threads")),
            _number(_sum(server, "major_faults")), _number(_sum(server, "read_mb")),
            _number(_sum(server, "write_mb")), style="bold",
        )  # fmt: skip
        for row in rows:
            if row["role"] == "monitor":
                table.add_row(*_cells(row, percent), style="dim")
        self._view.update(table, refresh=True)

    def _percent(self, now: float, rows: Sequence[Row]) -> dict[int, float]:
        """Of one core, since the last look."""
        then, before = self._before
        spent = {row["pid"]: row["cpu_s"] for row in rows if row["role"] != "system"}
        self._before = (now, spent)
        return {pid: 100 * (cpu - before[pid]) / (now - then) for pid, cpu in spent.items() if pid in before}


def _order(row: Row) -> tuple[int, int, int]:
    number = row.get("worker")
    return SERVER_ROLES.index(row["role"]), -1 if number is None else number, row["pid"]


def _cells(row: Row, percent: dict[int, float]) -> list[str]:
    number = row.get("worker")
    return [
        row["role"] if number is None else f"{row['role']} {number}", str(row["pid"]),
        _number(row.get("pss_mb")), _number(row.get("uss_mb")), _number(row.get("rss_mb")),
        _number(row.get("cpu_s"), 1), _number(percent.get(row["pid"])), _number(row.get("threads")),
        _number(row.get("major_faults")), _number(row.get("read_mb")), _number(row.get("write_mb")),
    ]  # fmt: skip


def _machine(system: Row) -> str:
    steal = system.get("steal_percent")
    return (
        f"machine: CPU {_number(system.get('cpu_percent'))} %"
        + ("" if steal is None else f" (stolen {steal:.0f} %)")
        + f", {_number(system.get('available_mb'))} MiB available, swap {_number(system.get('swap_used_mb'))} MiB"
    )


def _sum(rows: Sequence[Row], column: str) -> float | None:
    """None where any is unknown: the sum of the others would look like a saving."""
    values = [row.get(column) for row in rows]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
