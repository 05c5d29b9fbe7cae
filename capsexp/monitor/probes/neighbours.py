"""Who else used the machine's CPUs during a run, by the names of processes: their command lines may hold secrets."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import psutil

from capsexp.escape import one_line
from capsexp.monitor.probes._linux import read_bytes, sysconf
from capsexp.monitor.probes.base import Column, Row, Watch

COLUMNS = (
    Column("name", "", "of the program; those of one name are one row"),
    Column("cpu_s", "s", "of CPU since the first look"),
)
ROLES = ()
EVERY_S = 2.0
COST = "a small file of /proc for each process of the machine"
LEAST_S = 0.1  # of CPU, before a name is listed
MOST_NAMES = 50
REST = "(many others)"
OURS = "capsexp"


def missing() -> str | None:
    return None


def start(watch: Watch) -> Everybody:
    return Everybody()


class Everybody:
    """Looks at all processes of the machine."""

    def __init__(self) -> None:
        self._counts, self._own = Neighbours(), _first_of_ours()

    def close(self) -> None:
        pass

    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        return self._counts.look(everybody(), {row["pid"] for row in watched if "pid" in row}, self._own)


@dataclass(frozen=True)
class Seen:
    """A process at one look: CPU seconds of its own, and of its children that have ended and were waited for."""

    pid: int
    parent: int
    born: object
    name: str
    own_s: float
    ended_s: float = 0.0


class Neighbours:
    """CPU seconds by name since the first look; a process that lived between two looks counts for its parent."""

    def __init__(self) -> None:
        self._before: dict[tuple[int, object], Seen] | None = None
        self._took: defaultdict[str, float] = defaultdict(float)
        self._listed: dict[str, None] = {}

    def look(self, processes: Iterable[Seen], watched: set[int], own: int | None = None) -> list[Row]:
        """The rows of this look. `watched`: whose rows are in monitor.csv; `own`: our first process; all below it
        are ours as well."""
        now = {(p.pid, p.born): p for p in processes}
        before, self._before = self._before, now
        if before is not None:
            family = _below(own, now.values()) if own is not None else set()
            self._add(before, now, watched, family)
        for name, seconds in sorted(self._took.items(), key=lambda pair: -pair[1]):
            if seconds >= LEAST_S and len(self._listed) < MOST_NAMES:
                self._listed.setdefault(name)
        rows = [{"name": name, "cpu_s": self._took[name]} for name in self._listed]
        rest = sum(seconds for name, seconds in self._took.items() if name not in self._listed)
        return [*rows, {"name": REST, "cpu_s": rest}] if rest >= LEAST_S else rows

    def _add(
        self,
        before: Mapping[tuple[int, object], Seen],
        now: Mapping[tuple[int, object], Seen],
        watched: set[int],
        family: set[int],
    ) -> None:
        known: dict[int, float] = defaultdict(float)  # of a parent's children that ended: counted already
        for key, gone in before.items():
            if key not in now:
                known[gone.parent] += gone.own_s + gone.ended_s
        for key, process in now.items():
            if process.pid in watched:
                continue
            then = before.get(key)
            spent = process.own_s - (then.own_s if then else 0.0)
            # Its children that have ended, less what was seen of them while they lived.
            spent += max(0.0, process.ended_s - (then.ended_s if then else 0.0) - known[process.pid])
            if spent > 0:
                self._took[OURS if process.pid in family else one_line(process.name)] += spent


def _first_of_ours() -> int:
    """The process from which all of ours come: the sweep's, or the run's where that is a job of its own."""
    first = os.getpid()
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents()[:2]:  # the run, and the sweep that holds it
            if not any(PurePath(word).name.partition(".")[0] == OURS for word in parent.cmdline()[1:3]):
                break
            first = parent.pid
    return first


def _below(root: int, processes: Iterable[Seen]) -> set[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for process in processes:
        children[process.parent].append(process.pid)
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def everybody() -> list[Seen]:
    """All processes of this machine that may be looked at."""
    return _linux() if os.path.exists("/proc/self/stat") else _portable()


def _linux() -> list[Seen]:
    """Straight from /proc: a quarter of the CPU that psutil takes for it."""
    second, found = sysconf("SC_CLK_TCK"), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            head, _, tail = read_bytes(f"/proc/{pid}/stat").rpartition(b")")
            stat, name = tail.split(None, 20), head.partition(b"(")[2].decode("utf-8", "replace")
            own, ended = int(stat[11]) + int(stat[12]), int(stat[13]) + int(stat[14])
            found.append(Seen(int(pid), int(stat[1]), stat[19], name, own / second, ended / second))
    return found


def _portable() -> list[Seen]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error), process.oneshot():
            cpu = process.cpu_times()
            own, ended = cpu.user + cpu.system, cpu.children_user + cpu.children_system  # 0 where unknown
            found.append(Seen(process.pid, process.ppid(), process.create_time(), process.name(), own, ended))
    return found
