"""How processes are read, and how that is done with psutil where there is no better way; what a platform does not
tell stays unknown."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import psutil

from capsexp.machine import MB
from capsexp.monitor.probes.base import Row

# Python's own name for "no such process" depends on which call met it.
GONE = (FileNotFoundError, ProcessLookupError, PermissionError, psutil.Error)


@dataclass(frozen=True)
class Process:
    born: object  # differs between two processes that had one pid after another
    columns: Row


class Reader(Protocol):
    """What is known of a process; every call raises one of GONE when it has gone or may not be looked at."""

    def begin(self) -> None: ...  # of a tick

    def read(self, pid: int) -> Process | None: ...  # None: a zombie

    def children(self, pid: int) -> list[int]: ...

    def cmdline(self, pid: int) -> bytes: ...


class Parents:
    """Who is whose child, from one pass over all processes: to ask psutil for each would make as many passes."""

    def __init__(self) -> None:
        self.children: dict[int, list[int]] = {}

    def look(self) -> None:
        self.children = {}
        for process in psutil.process_iter(["ppid"]):
            self.children.setdefault(process.info["ppid"], []).append(process.pid)


class Portable:
    def __init__(self) -> None:
        self._parents = Parents()

    def begin(self) -> None:
        self._parents.look()

    def read(self, pid: int) -> Process | None:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            try:
                memory: Any = process.memory_full_info()
            except psutil.AccessDenied:
                memory = process.memory_info()
            cpu = process.cpu_times()
            columns: Row = {
                "rss_mb": memory.rss / MB,
                "pss_mb": _mb(getattr(memory, "pss", None)),
                "uss_mb": _mb(getattr(memory, "uss", None)),
                "cpu_s": cpu.user + cpu.system,
                "threads": process.num_threads(),
            }
            if sys.platform != "darwin":  # which counts none
                with contextlib.suppress(psutil.AccessDenied):
                    io = process.io_counters()
                    columns["read_mb"], columns["write_mb"] = io.read_bytes / MB, io.write_bytes / MB
            return Process(process.create_time(), columns)

    def children(self, pid: int) -> list[int]:
        return self._parents.children.get(pid, [])

    def cmdline(self, pid: int) -> bytes:
        return "\0".join(psutil.Process(pid).cmdline()).encode("utf-8", "surrogateescape")


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MB
