"""The machine: its CPUs, their clock, its memory."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import psutil

from capsexp import cgroup
from capsexp.machine import MB
from capsexp.monitor.probes.base import Column, Row, Watch

COLUMNS = (
    Column("cpu_percent", "%", "of all CPUs, since the tick before"),
    Column("steal_percent", "%", "taken by the host of a virtual machine, since the tick before"),
    Column("busy_s", "s", "of all CPUs, since the first tick"),
    Column("idle_s", "s", "of all CPUs, since the first tick"),
    Column("steal_s", "s", "of all CPUs, since the first tick"),
    Column("available_mb", "MB", "that can be taken without swapping, under the limits of our control groups"),
    Column("swap_used_mb", "MB", "of the machine's swap"),
    Column("swap_in_mb", "MB", "read back from swap since the first tick"),
    Column("cpu_mhz", "MHz", "the clock of the fastest core"),
)
ROLES = ("system",)
EVERY_S = 0.0
COST = "four small files; limits of control groups every 2 s, where there are any"
GROUPS_S = 2.0  # between two looks at limits that there are
SELDOM_S = 10.0  # and at what there is not


def missing() -> str | None:
    return None


def start(watch: Watch) -> System:
    return System()


class System:
    def __init__(self) -> None:
        self._cpu = psutil.cpu_times()
        self._first = True
        self._spent = {"busy_s": 0.0, "idle_s": 0.0}
        self._swapped: int | None = None
        self._swap: Row = {}
        self._swap_due = self._groups_due = float("-inf")
        self._room: float | None = None  # under the limits of our control groups
        # Not in every virtual machine. A clock that is throttled is so on all cores: a few of many say enough.
        self._clocks = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))[:8]

    def close(self) -> None:
        pass

    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        row: Row = {"role": "system", "available_mb": self._available(now), **self._cpus()}
        with contextlib.suppress(OSError, ValueError):
            # Idle cores are slow: the fastest tells what the machine gives.
            row["cpu_mhz"] = max((int(path.read_text()) / 1000 for path in self._clocks), default=None)
        with contextlib.suppress(OSError, RuntimeError):
            if now >= self._swap_due:
                swap = psutil.swap_memory()
                if self._swapped is None:
                    self._swapped = swap.sin
                self._swap = {"swap_used_mb": swap.used / MB, "swap_in_mb": (swap.sin - self._swapped) / MB}
                # Where there is none, none is read back.
                self._swap_due = now if swap.total else now + SELDOM_S
        return [{**row, **self._swap}]

    def _available(self, now: float) -> float:
        """The limits of our control groups cost more to read than all the rest."""
        if now >= self._groups_due:
            groups = cgroup.memory()
            self._room = None if groups is None else groups[1] / MB
            self._groups_due = now + (SELDOM_S if groups is None else GROUPS_S)
        machine = psutil.virtual_memory().available / MB
        return machine if self._room is None else min(machine, self._room)

    def _cpus(self) -> Row:
        now, before = psutil.cpu_times(), self._cpu
        # The guests' time is part of user and nice already.
        names = [name for name in now._fields if not name.startswith("guest")]
        spent = {name: max(0.0, getattr(now, name) - getattr(before, name)) for name in names}
        total, idle, steal = sum(spent.values()), spent["idle"] + spent.get("iowait", 0.0), spent.get("steal")
        busy = total - idle - (steal or 0.0)
        # Sums since the first tick: what a table that was thinned out leaves of them is exact.
        self._spent["busy_s"] += busy
        self._spent["idle_s"] += idle
        if steal is not None:
            self._spent["steal_s"] = self._spent.get("steal_s", 0.0) + steal
        row: Row = dict(self._spent)
        # A difference needs two ticks.
        if not self._first and total > 0:
            row["cpu_percent"] = 100 * busy / total
            row["steal_percent"] = None if steal is None else 100 * steal / total
        self._cpu, self._first = now, False
        return row
