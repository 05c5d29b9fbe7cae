"""Finds the role of each process of a server that is not ours from what it does, as such a server does not report them.

The gateway is the process that listens. Those above it only started it (`uv run`, `bash -c`, `env`), and count as
helpers, like every parent that does nothing but wait, and like what `multiprocessing` adds: resource trackers, fork
servers and managers. The rest are workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import psutil

HELPERS = (b"resource_tracker", b"forkserver")
LOOKS = 5  # at the sockets of a process, once the gateway is known: a manager's is there soon after it was born
IDLE = 0.05  # of a CPU: a parent that uses less, waits
IDLE_AFTER_S = 2.0  # and until then nobody can tell

Part = tuple[str, "int | None"]
Key = tuple[int, object]


@dataclass(frozen=True)
class Node:
    """A process of a server's tree: `born` tells it from another that had its pid before."""

    pid: int
    parent: int
    born: object
    cpu_s: float
    line: bytes  # its command line

    @property
    def key(self) -> Key:
        return self.pid, self.born


@dataclass(frozen=True)
class Sockets:
    listens: bool = False  # for TCP connections
    manages: bool = False  # for those of multiprocessing's proxies


def sockets(pid: int) -> Sockets:
    """What a process waits for connections with; nothing where that may not be seen."""
    try:
        found = psutil.Process(pid).net_connections("all")
    except (psutil.Error, OSError, RuntimeError):
        return Sockets()
    paths = [PurePath(str(c.laddr)) for c in found if isinstance(c.laddr, str) and c.laddr]
    return Sockets(
        any(c.status == psutil.CONN_LISTEN for c in found),
        any(path.name.startswith("listener-") and path.parent.name.startswith("pymp-") for path in paths),
    )


class Roles:
    """Remembers who was what, as numbers of workers must stay theirs."""

    def __init__(self, look: Callable[[int], Sockets] = sockets) -> None:
        self._look = look
        self._gateway: Key | None = None
        self._sockets: dict[Key, tuple[Sockets, int]] = {}  # and how often they were looked at
        self._waiting: dict[Key, tuple[float, float]] = {}  # parents: when they were seen first, with which CPU time
        self._working: set[Key] = set()  # parents that do more than wait
        self._numbers: dict[Key, int] = {}

    def of(self, tree: Sequence[Node], now: float) -> dict[int, Part]:
        """The part of each process of a tree, whose root comes first. `now` in seconds of any clock."""
        by_pid = {node.pid: node for node in tree}
        gateway = self._find_gateway(tree)
        above, at = set[int](), by_pid.get(gateway.parent)
        while at is not None and at.pid not in above:
            above.add(at.pid)
            at = by_pid.get(at.parent)
        parents = {node.parent for node in tree if not _is_helper(node, by_pid.get(node.parent))}
        workers = []
        parts: dict[int, Part] = {}
        for node in tree:
            if node is gateway:
                parts[node.pid] = "gateway", None
            elif (
                node.pid in above
                or _is_helper(node, by_pid.get(node.parent))
                or self._sockets[node.key][0].manages
                or (node.pid in parents and self._only_waits(node, now))
            ):
                parts[node.pid] = "helper", None
            else:
                workers.append(node)
                continue
            self._no_worker(node.key)
        for node in workers:
            parts[node.pid] = "worker", self._numbers.setdefault(node.key, len(self._numbers))
        return parts

    def _find_gateway(self, tree: Sequence[Node]) -> Node:
        """Who listens; of several, which share a socket, the one that is nearest to the root. Until somebody does, the
        root."""
        known = next((node for node in tree if node.key == self._gateway), None)
        for node in tree:
            seen, looks = self._sockets.get(node.key, (Sockets(), 0))
            if not seen.listens and (known is None or looks < LOOKS):
                self._sockets[node.key] = self._look(node.pid), looks + 1
        if known is None:
            known = next((node for node in tree if self._sockets[node.key][0].listens), None)
            if known is not None:
                known = self._nearest_to_the_root(known, tree)
                self._gateway = known.key
        return known if known is not None else tree[0]

    def _nearest_to_the_root(self, listening: Node, tree: Sequence[Node]) -> Node:
        """Of those that share its socket. A parent that made it was looked at before its child began to listen on it,
        so it is looked at again."""
        by_pid = {node.pid: node for node in tree}
        nearest, at, seen = listening, by_pid.get(listening.parent), {listening.pid}
        while at is not None and at.pid not in seen:
            seen.add(at.pid)
            if self._look(at.pid).listens:
                nearest = at
            at = by_pid.get(at.parent)
        return nearest

    def _only_waits(self, parent: Node, now: float) -> bool:
        since, then = self._waiting.setdefault(parent.key, (now, parent.cpu_s))
        if now - since > IDLE_AFTER_S and parent.cpu_s - then > IDLE * (now - since):
            self._working.add(parent.key)
        return parent.key not in self._working

    def _no_worker(self, key: Key) -> None:
        """One that was taken for a worker is none: those after it move up."""
        number = self._numbers.pop(key, None)
        if number is not None:
            self._numbers = {k: n - (n > number) for k, n in self._numbers.items()}


def _is_helper(node: Node, parent: Node | None) -> bool:
    """Of multiprocessing. What a fork server forks has its command line, but is a worker."""
    forked = parent is not None and b"forkserver" in node.line and b"forkserver" in parent.line
    return any(word in node.line for word in HELPERS) and not forked
