"""What this machine offers to us: the CPUs and the memory we may use, not those that are built in."""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

from capsexp import cgroup

MB = 2**20


def usable_cpus() -> float:
    """CPUs this process may use at once: those it may run on, and no more than the quotas of its control groups.

    A quota of 1.5 is 1.5 CPUs, and that is what use is measured against; whoever needs a whole number of things to
    start takes `whole_cpus`. What is whole is an int.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = cgroup.cpus()
    usable = affinity if quota is None else min(affinity, round(quota, 3))
    return int(usable) if usable == int(usable) else usable


def whole_cpus() -> int:
    """Of the usable CPUs those that are whole, at least one: half a CPU more does not carry another worker."""
    return max(1, int(usable_cpus()))


def listener(port: int) -> int | None:
    """The process that listens on a TCP port here; of several that share the socket, the one that began them. None
    where nobody does. Raises PermissionError where it is another user's."""
    pids: set[int] = set()
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    raise PermissionError(f"port {port} is another user's")
                pids.add(connection.pid)
    except psutil.AccessDenied:  # macOS shows all only to root, each user their own process by process
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections("tcp")):
                    pids.add(process.pid)
    for pid in sorted(pids):
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).ppid() not in pids:
                return pid
    return None


def total_mb() -> float:
    """The machine's memory, or the smallest limit of our control groups."""
    total, limited = psutil.virtual_memory().total, cgroup.memory()
    return (total if limited is None else min(total, limited[0])) / MB


def available_mb() -> float:
    """Memory that can be taken without swapping: of the machine, and under the limits of our control groups."""
    available, limited = psutil.virtual_memory().available, cgroup.memory()
    return (available if limited is None else min(available, limited[1])) / MB


def open_files(needed: int) -> int | None:
    """How many files this process may have open, after raising its own limit as far as needed and as the system lets
    it; None where there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def len_open() -> int:
    """How many files this process has open; about, where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 32
