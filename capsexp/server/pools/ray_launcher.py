"""pool=ray: workers on the nodes of a Ray cluster. Ray places, TCP carries.

    gateway (WorkerPool, RayLauncher) -- stdin/stdout --> driver (ray.init, placement group) -- Ray --> actor per node
       |                                                                                                  | stdin
       +------------- TCP: a control link per node, a connection per worker ------------------------> agent per node
                                                                                     (one of our pools, its workers)

Segments pass through neither Ray's object store nor its failure detector. The driver is a separate process, because Ray
kills its process when the cluster's head node is lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

from capsexp.config import PoolConfig
from capsexp.engines.base import files_of_settings
from capsexp.errors import CapsexpError
from capsexp.files import sha256
from capsexp.server.messages import Measured, WorkerReady, WorkerSettings
from capsexp.server.pools.ray_nodes import Node, Nodes
from capsexp.server.pools.ray_pipe import NodeHandle


class Placement(Protocol):
    """What puts an agent on each node."""

    def start(self, nodes: int, listen: Callable[[str], int], secret: bytes, fail: Callable[[str], None]) -> None:
        """Begin, and do not wait. `listen(host)` gives the port for agents to dial at an address of this machine;
        `fail(why)`: there will be no agents."""
        ...

    def alive(self) -> bool:
        """Whether anything is left of it."""
        ...

    def end(self) -> None: ...

    def kill(self) -> None: ...


class RayLauncher:
    """`on_node(what, node, why)` is called from any thread: a node has `joined`, is `lost` or `refused` (`why`), or has
    started a process that only loads (`loader`; `why` is its pid). `count`: workers in all; `threads`: of each."""

    def __init__(
        self,
        pool: PoolConfig,
        settings: WorkerSettings,
        threads: int,
        count: int,
        on_node: Callable[[str, Node, str], None],
        placement: Placement,
    ) -> None:
        self._pool, self._settings, self._threads, self._count = pool, settings, threads, count
        self._placement = placement
        self._secret = secrets.token_bytes(32)
        self.nodes = Nodes(pool.nodes, self._secret, pool.lost_s, self._begin, on_node)
        self._about: Any = None
        self._hands: list[NodeHandle] = []
        self._begun = self._ending = False

    def start(self, number: int) -> NodeHandle:
        if not self._begun:
            _ = self._models  # before anybody dials: who waits for it would count as silent
            self._placement.start(self._pool.nodes, self.nodes.listen, self._secret, self._fail)
            self._begun = True
        hand = self.nodes.start(number, self._fits)
        self._hands = [*(one for one in self._hands if one.alive()), hand]
        return hand

    def each_mb(self, first: Any, measured: Measured) -> float:
        return 0.0  # it is another machine's memory

    def settle(self, count: int) -> None:
        self._count = count
        for node in self.nodes.all:
            node.tell(settle=self._local(node.index))

    def alive(self) -> bool:
        """Whether anything may be left on a node, or of Ray."""
        if not self._placement.alive():
            self.nodes.close()
            return False
        if self._ending and not any(node.joined and not node.over for node in self.nodes.all):
            self._placement.end()
        return True

    def terminate(self) -> None:
        self._ending = True
        for node in self.nodes.all:
            node.tell(over=True)

    def kill(self) -> None:
        """Kill the workers whose process is not known yet; after `terminate`, Ray's driver and with it all agents."""
        if self._ending:
            self._placement.kill()
            self.nodes.close()
            return
        for hand in self._hands:
            if hand.alive() and hand.pid is None:
                hand.kill()

    def _fail(self, why: str) -> None:
        if not self._ending:
            for node in self.nodes.all:
                node.fail(why)

    def _local(self, index: int) -> int:
        """How many workers a node has."""
        return len(range(index, self._count, self._pool.nodes))

    def _begin(self, index: int) -> dict[str, Any]:
        """What the agent of a node is told first."""
        settings = self._settings
        return {
            "engine": dict(settings.engine), "punctuation": dict(settings.punctuation), "run_dir": settings.run_dir,
            "inner": self._pool.inner, "threads": self._threads, "count": self._local(index), "models": self._models,
            "lost_s": self._pool.lost_s,
        }  # fmt: skip

    @cached_property
    def _models(self) -> dict[str, str]:
        """The sha256 of the engine's files as they are here; nothing where there are none here."""
        try:
            return {path.name: sha256(path) for path in files_of_settings(self._settings.engine)}
        except (CapsexpError, OSError):
            return {}

    def _fits(self, ready: WorkerReady) -> str:
        """What is wrong with an engine that is not the one of the first worker."""
        self._about = ready.about if self._about is None else self._about
        return "" if self._about == ready.about else f"its engine says {ready.about}, the first one {self._about}"
