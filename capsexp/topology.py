"""The CPUs of this machine that we may run on, as the kernel describes them: which share a core, a socket, a node.

The kernel's own answer (sched_getaffinity) already leaves out what is offline, what a control group's cpuset keeps from
us and what whoever started us did. Linux; elsewhere nothing is told. Everything is read below `root`, so that trees of
files stand for machines in tests.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection
from pathlib import Path

from capsexp import cgroup
from capsexp.placement import Cpu, Topology, listed

SYS = Path("sys/devices/system")


def read(root: Path = cgroup.ROOT, allowed: Collection[int] | None = None) -> Topology:
    """`allowed`: the CPUs that we may run on, where it is not this process that is asked about."""
    if allowed is None:
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cpus, governors, told = root / SYS / "cpu", set(), bool(allowed)
    nodes = {cpu: node for node, own in _nodes(root).items() for cpu in own}
    found = []
    for number in sorted(allowed):
        topology = cpus / f"cpu{number}/topology"
        siblings = _list(topology / "core_cpus_list") or _list(topology / "thread_siblings_list")
        told &= bool(siblings)
        socket = _text(topology / "physical_package_id")
        found.append(
            Cpu(
                number,
                core=min(siblings, default=number),
                socket=int(socket) if socket.isdigit() else 0,  # -1: not known
                node=nodes.get(number, 0),
            )
        )
        governors.add(_text(cpus / f"cpu{number}/cpufreq/scaling_governor"))
    return Topology(tuple(found), cgroup.cpus(root), frozenset(governors - {""}), told)


def pin(cpus: Collection[int], process: bool = False) -> tuple[int, ...]:
    """Keep the calling thread, and those that it starts from now on, to these CPUs; returns what the kernel made of it.
    `process`: all threads of this process, as a library may have started some when it was imported. Raises OSError
    where none of the CPUs may be had."""
    if sys.platform != "linux":  # config refuses it elsewhere
        raise OSError("threads are pinned on Linux only")
    os.sched_setaffinity(0, cpus)
    for thread in os.listdir("/proc/self/task") if process else ():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(thread), cpus)
    return tuple(sorted(os.sched_getaffinity(0)))


def _nodes(root: Path) -> dict[int, frozenset[int]]:
    """The CPUs of each node that has any."""
    found = {}
    for folder in (root / SYS / "node").glob("node[0-9]*"):
        if (name := folder.name.removeprefix("node")).isdigit() and (own := _list(folder / "cpulist")):
            found[int(name)] = own
    return found


def _list(path: Path) -> frozenset[int]:
    try:
        return listed(_text(path))
    except ValueError:
        return frozenset()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
