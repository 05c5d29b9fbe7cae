"""Processes straight from /proc, as going through psutil costs several times as much CPU."""

from __future__ import annotations

import contextlib
import os
import sys

from capsexp.machine import MB
from capsexp.monitor.probes._portable import Parents, Process
from capsexp.monitor.probes.base import Row


def sysconf(name: str) -> int:
    """What /proc counts in, so only where that is."""
    if sys.platform == "win32":
        raise NotImplementedError(name)
    return os.sysconf(name)


class Linux:
    def __init__(self) -> None:
        self._second = sysconf("SC_CLK_TCK")
        self._page = sysconf("SC_PAGE_SIZE")
        # Not in every kernel.
        self._parents = None if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else Parents()

    def begin(self) -> None:
        if self._parents is not None:
            self._parents.look()

    def read(self, pid: int) -> Process | None:
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
        return Process(stat[19], columns)

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
