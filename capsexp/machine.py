"""What this machine offers to us: the CPUs and the memory we may use, not those that are built in."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MB = 2**20
_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """CPUs this process may run on: its affinity, and the quota of a version-2 control group."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = _read(_CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        return max(1, min(affinity, round(int(quota[0]) / int(quota[1]))))
    return affinity


def total_mb() -> float:
    limit = _read(_CGROUP / "memory.max").strip()
    total = psutil.virtual_memory().total
    return (min(total, int(limit)) if limit.isdigit() else total) / MB


def available_mb() -> float:
    """Memory that can be taken without swapping: of the machine, and under the control group's limit."""
    available = psutil.virtual_memory().available
    limit, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        available = min(available, max(0, int(limit) - int(used)))
    return available / MB


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
