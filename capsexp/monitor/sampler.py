"""One look at process trees and the machine: a row for each. Sizes in MiB, CPU in seconds since a process began."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from capsexp.machine import MB, available_mb
from capsexp.monitor.roles import LOOKS, Node, Roles

COLUMNS = (
    "time_s", "role", "worker", "pid", "rss_mb", "pss_mb", "uss_mb", "cpu_s", "threads", "major_faults", "read_mb",
    "write_mb", "cpu_percent", "steal_percent", "busy_s", "idle_s", "steal_s", "available_mb", "swap_used_mb",
    "swap_in_mb", "cpu_mhz",
)  # fmt: skip
SERVER_ROLES = ("front", "loader", "worker", "helper")
APART = ("client", "fault")  # not the server's, with all that they start
# Python's own name for "no such process" depends on which call met it.
GONE = (FileNotFoundError, ProcessLookupError, PermissionError, psutil.Error)

Row = dict[str, Any]


class Sampler:
    """Samples the trees under `watched` (pid -> role) and this process itself.

    `pids_dir` holds a file per process that knows its own part: named by its pid, containing e.g. `worker 2` or
    `client 0`. A client becomes one more root, and so does who injects faults; the others are descendants of a root.
    """

    def __init__(self, watched: dict[int, str], pids_dir: Path | None) -> None:
        self._roots = dict(watched)
        self._known: dict[int, tuple[str, int | None]] = {}
        self._pids_dir = pids_dir
        self._reader: _Reader = _Linux() if os.path.exists("/proc/self/smaps_rollup") else _Portable()
        self._born: dict[int, object] = {}  # of the roots: a pid that is used again is somebody else
        self._roles: dict[int, Roles] = {}  # of servers that are not ours, by their roots
        self._lines: dict[tuple[int, object], tuple[bytes, int]] = {}
        self._cpu = psutil.cpu_times()
        self._first = True
        self._spent = {"busy_s": 0.0, "idle_s": 0.0}
        self._swapped: int | None = None
        # Not in every virtual machine. A clock that is throttled is so on all cores: a few of many say enough.
        self._clocks = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))[:8]

    def tick(self) -> list[Row]:
        """A row for each process there is now, then the system's; without time_s."""
        self._reader.begin()
        files = self._files()
        for pid, (role, _) in files.items():
            if role in APART:
                self._roots.setdefault(pid, role)
        own = os.getpid()
        seen = {own}
        rows = []
        with contextlib.suppress(*GONE):
            if process := self._reader.read(own):
                rows.append({"role": "monitor", "pid": own, **process.columns})
        named = any(role == "worker" for role, _ in files.values())
        for root, role in list(self._roots.items()):
            rows += self._tree(root, role, files, named, seen)
        rows.append(self._system())
        return rows

    def _tree(
        self, root: int, role: str, files: dict[int, tuple[str, int | None]], named: bool, seen: set[int]
    ) -> list[Row]:
        nodes: list[Node] = []
        columns: dict[int, Row] = {}
        waiting: list[tuple[int, int]] = [(root, 0)]
        while waiting:
            pid, parent = waiting.pop(0)
            if pid in seen:
                continue
            try:
                process = self._reader.read(pid)
                if process is None:
                    continue
                if pid == root and self._born.setdefault(pid, process.born) != process.born:
                    del self._roots[pid]
                    return []
                children = self._reader.children(pid)
                line = self._line(pid, process.born)
            except GONE:
                continue
            seen.add(pid)
            waiting += [(child, pid) for child in children]
            nodes.append(Node(pid, parent, process.born, process.columns["cpu_s"], line))
            columns[pid] = process.columns
        parts = self._parts(nodes, role, files, named)
        return [{"role": parts[n.pid][0], "worker": parts[n.pid][1], "pid": n.pid, **columns[n.pid]} for n in nodes]

    def _parts(
        self, nodes: list[Node], role: str, files: dict[int, tuple[str, int | None]], named: bool
    ) -> dict[int, tuple[str, int | None]]:
        if not nodes:
            return {}
        root = nodes[0].pid
        if role == "front" and not named:
            found = self._roles.setdefault(root, Roles()).of(nodes, time.monotonic())
            return {n.pid: files.get(n.pid) or found[n.pid] if n.pid != root else found[root] for n in nodes}
        parts: dict[int, tuple[str, int | None]] = {}
        for node in nodes:
            if node.pid == root:
                parts[root] = role, files.get(root, (role, None))[1] if role == "worker" else None
            elif parts[node.parent][0] in APART:
                parts[node.pid] = parts[node.parent][0], None
            else:
                parts[node.pid] = files.get(node.pid) or ("helper", None)
        return parts

    def _line(self, pid: int, born: object) -> bytes:
        """Its command line; a new process gets another when it executes a program, and is then looked at again."""
        line, looks = self._lines.get((pid, born), (b"", 0))
        if looks < LOOKS:
            line = self._reader.cmdline(pid)
            self._lines[pid, born] = line, looks + 1
        return line

    def _files(self) -> dict[int, tuple[str, int | None]]:
        found = self._known  # a file never changes once its writer is done
        if self._pids_dir is None:
            return found
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._pids_dir):
                if name.isdigit() and int(name) in found:
                    continue
                with contextlib.suppress(OSError, ValueError):
                    role, _, number = (self._pids_dir / name).read_text().strip().partition(" ")
                    if role:  # empty: its writer is not done
                        found[int(name)] = (role, int(number) if number and role == "worker" else None)
        return found

    def _system(self) -> Row:
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
        row: Row = {"role": "system", "available_mb": available_mb(), **self._spent}
        # A difference needs two ticks.
        if not self._first and total > 0:
            row["cpu_percent"] = 100 * busy / total
            row["steal_percent"] = None if steal is None else 100 * steal / total
        self._cpu, self._first = now, False
        with contextlib.suppress(OSError, ValueError):
            # Idle cores are slow: the fastest tells what the machine gives.
            row["cpu_mhz"] = max((int(path.read_text()) / 1000 for path in self._clocks), default=None)
        with contextlib.suppress(OSError, RuntimeError):
            swap = psutil.swap_memory()
            row["swap_used_mb"] = swap.used / MB
            if self._swapped is None:
                self._swapped = swap.sin
            row["swap_in_mb"] = (swap.sin - self._swapped) / MB  # since the first tick
        return row


@dataclass(frozen=True)
class _Process:
    born: object  # differs between two processes that had one pid after another
    columns: Row


class _Reader(Protocol):
    """What is known of a process; every call raises one of GONE when it has gone or may not be looked at."""

    def begin(self) -> None: ...  # of a tick

    def read(self, pid: int) -> _Process | None: ...  # None: a zombie

    def children(self, pid: int) -> list[int]: ...

    def cmdline(self, pid: int) -> bytes: ...


def sysconf(name: str) -> int:
    """What /proc counts in, so only where that is."""
    if sys.platform == "win32":
        raise NotImplementedError(name)
    return os.sysconf(name)


class _Linux:
    """Straight from /proc, as going through psutil costs several times as much CPU."""

    def __init__(self) -> None:
        self._second = sysconf("SC_CLK_TCK")
        self._page = sysconf("SC_PAGE_SIZE")
        # Not in every kernel.
        self._parents = None if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else _Parents()

    def begin(self) -> None:
        if self._parents is not None:
            self._parents.look()

    def read(self, pid: int) -> _Process | None:
        # The name, in brackets, may hold anything.
        stat = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if stat[0] in (b"Z", b"X", b"x"):
            return None
        columns: Row = {
            "rss_mb": int(stat[21]) * self._page / MB,
            "cpu_s": (int(stat[11]) + int(stat[12])) / self._second,
            "threads": int(stat[17]),
            "major_faults": int(stat[9]),
        }
        # Other users' processes show no more than that.
        with contextlib.suppress(PermissionError):
            columns |= _memory(read_bytes(f"/proc/{pid}/smaps_rollup"))
        with contextlib.suppress(PermissionError):
            io = dict(line.split(b": ") for line in read_bytes(f"/proc/{pid}/io").splitlines())
            columns["read_mb"] = int(io[b"read_bytes"]) / MB
            columns["write_mb"] = int(io[b"write_bytes"]) / MB
        return _Process(stat[19], columns)

    def children(self, pid: int) -> list[int]:
        if self._parents is not None:
            return self._parents.children.get(pid, [])
        found: list[int] = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, read_bytes(f"/proc/{pid}/task/{thread}/children").split())
        return found

    def cmdline(self, pid: int) -> bytes:
        return read_bytes(f"/proc/{pid}/cmdline")


def read_bytes(path: str) -> bytes:
    """The whole of a file of /proc; raises OSError."""
    # Half the cost of a file object, dozens of times a tick.
    fd = os.open(path, os.O_RDONLY)
    try:
        content = b""
        while piece := os.read(fd, 16384):  # the kernel may give less than there is
            content += piece
        return content
    finally:
        os.close(fd)


def _memory(rollup: bytes) -> Row:
    sizes: dict[bytes, int] = {}
    for line in rollup.splitlines()[1:]:
        name, _, size = line.partition(b":")
        sizes[name] = int(size.split()[0])
    if b"Rss" not in sizes:  # it is ending: its memory has been given back
        return {}
    uss = sizes[b"Private_Clean"] + sizes[b"Private_Dirty"] + sizes.get(b"Private_Hugetlb", 0)
    return {"rss_mb": sizes[b"Rss"] / 1024, "pss_mb": sizes[b"Pss"] / 1024, "uss_mb": uss / 1024}


class _Parents:
    """Who is whose child, from one pass over all processes: to ask psutil for each would make as many passes."""

    def __init__(self) -> None:
        self.children: dict[int, list[int]] = {}

    def look(self) -> None:
        self.children = {}
        for process in psutil.process_iter(["ppid"]):
            self.children.setdefault(process.info["ppid"], []).append(process.pid)


class _Portable:
    """Through psutil; what a platform does not tell stays unknown."""

    def __init__(self) -> None:
        self._parents = _Parents()

    def begin(self) -> None:
        self._parents.look()

    def read(self, pid: int) -> _Process | None:
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
            return _Process(process.create_time(), columns)

    def children(self, pid: int) -> list[int]:
        return self._parents.children.get(pid, [])

    def cmdline(self, pid: int) -> bytes:
        return "\0".join(psutil.Process(pid).cmdline()).encode("utf-8", "surrogateescape")


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MB
