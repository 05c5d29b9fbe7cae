"""The process trees that are watched: who is there, and what each uses. Sizes in MiB, CPU in seconds since a process
began."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from capsexp.monitor.probes._linux import Linux
from capsexp.monitor.probes._portable import GONE, Portable, Reader
from capsexp.monitor.probes.base import APART, INFRA, PROCESS_ROLES, Column, Row, Watch
from capsexp.monitor.roles import LOOKS, Node, Part, Roles

COLUMNS = (
    Column("rss_mb", "MB", "resident, shared pages counted in each process"),
    Column("pss_mb", "MB", "resident, shared pages divided among those that share them (Linux)"),
    Column("uss_mb", "MB", "resident, its own alone"),
    Column("cpu_s", "s", "of CPU since the process began"),
    Column("threads", "", "how many it has"),
    Column("major_faults", "", "pages read from disk since it began (Linux)"),
    Column("read_mb", "MB", "read from disk since it began"),
    Column("write_mb", "MB", "written to disk since it began"),
    Column("peak_rss_mb", "MB", "the most that was ever resident, between ticks too (Linux)"),
    Column("runqueue_s", "s", "that its threads waited for a CPU although they could run, since they began (Linux)"),
    Column("busy_threads", "", "of its threads those that used over a tenth of a CPU since the tick before (Linux)"),
)
ROLES = PROCESS_ROLES
EVERY_S = 0.0
COST = "three small files of /proc a process and one a thread; a walk through its pages when its memory has moved"


def missing() -> str | None:
    return None


def start(watch: Watch) -> Trees:
    return Trees(watch)


class Trees:
    """The trees under the roots that are watched, and this process itself.

    Of the processes that say what they are, in `pids_dir`, a client becomes one more root, and so does who injects
    faults; the others are descendants of a root.
    """

    def __init__(self, watch: Watch) -> None:
        self._roots = dict(watch.roots)
        self._known: dict[int, Part] = {}
        self._pids_dir = watch.pids_dir
        self._reader: Reader = Linux() if os.path.exists("/proc/self/smaps_rollup") else Portable()
        self._born: dict[int, object] = {}  # of the roots: a pid that is used again is somebody else
        self._roles: dict[int, Roles] = {}  # of servers that are not ours, by their roots
        self._lines: dict[tuple[int, object], tuple[bytes, int]] = {}

    def close(self) -> None:
        self._reader = Portable()  # which keeps nothing open

    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        """A row for each process there is now."""
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
        named = any(role in ("worker", INFRA) for role, _ in files.values())  # it is a server of ours
        for root, role in list(self._roots.items()):
            rows += self._tree(root, role, files, named, seen, now)
        return rows

    def _tree(self, root: int, role: str, files: dict[int, Part], named: bool, seen: set[int], now: float) -> list[Row]:
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
        parts = self._parts(nodes, role, files, named, now)
        return [{"role": parts[n.pid][0], "worker": parts[n.pid][1], "pid": n.pid, **columns[n.pid]} for n in nodes]

    def _parts(self, nodes: list[Node], role: str, files: dict[int, Part], named: bool, now: float) -> dict[int, Part]:
        if not nodes:
            return {}
        root = nodes[0].pid
        if role == "gateway" and not named:
            found = self._roles.setdefault(root, Roles()).of(nodes, now)
            return {n.pid: files.get(n.pid) or found[n.pid] if n.pid != root else found[root] for n in nodes}
        parts: dict[int, Part] = {}
        for node in nodes:
            if node.pid == root:
                parts[root] = role, files.get(root, (role, None))[1] if role == "worker" else None
            elif parts[node.parent][0] in APART and not (parts[node.parent][0] == INFRA and node.pid in files):
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

    def _files(self) -> dict[int, Part]:
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
