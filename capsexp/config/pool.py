"""`pool`: how workers are created and share memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from capsexp.address import is_socket
from capsexp.engines import EngineConfig
from capsexp.setting import setting

INNER = ("process", "prefork", "thread")
POOLS = (*INNER, "ray")


@dataclass
class PoolConfig:
    """What owns the workers. `process`: N spawned processes, each with its own model. `prefork`: one process loads the
    model, then forks N workers that share its memory (Linux, threads=1). `thread`: one process, N threads over one
    model, for engines whose library allows it. `ray`: on each node of a Ray cluster one of these (`inner`)."""

    name: str = setting("process", "which pool", choices=POOLS)
    inner: str = setting("process", "pool=ray: the pool on each node", choices=INNER)
    nodes: int = setting(1, "pool=ray: number of cluster nodes to spread the workers over", low=1, high=1000)
    per_node: int = setting(0, "pool=ray: most workers on one node; 0: as many as `workers` needs")
    address: str = setting(
        "local",
        "pool=ray: address of the cluster, HOST:PORT; auto: from RAY_ADDRESS or this machine's Ray; local: a cluster "
        "is started here for the run",
    )
    lost_s: float = setting(3.0, "pool=ray: s without a word from a node, after which it counts as lost", low=0.2)

    def unfit(self, engine: EngineConfig, threads: int) -> Iterator[str]:
        """Why this pool cannot run this engine, here."""
        if self.name == "ray":
            yield from self._without_ray()
            for why in replace(self, name=self.inner).unfit(engine, threads):
                yield why.replace(f"pool={self.inner}", f"pool.inner={self.inner}", 1)
        if self.name == "prefork":
            if sys.platform != "linux":
                yield "pool=prefork: forks after loading, which only Linux does safely; use pool=process"
            elif not hasattr(os, "pidfd_open"):
                yield "pool=prefork: this Python was built without os.pidfd_open; use another, or pool=process"
            if threads > 1:
                yield (
                    "pool=prefork: needs threads=1, because a fork keeps only one thread; use more workers, or "
                    "pool=process"
                )
            if reason := engine.unforkable():
                yield f"pool=prefork: {reason}"
        if self.name == "thread" and not engine.shareable:
            yield (
                f"pool=thread: engine={engine.name} cannot be shared by threads; use pool=process"
                f"{' or pool=prefork' if engine.fork_safe else ''}"
            )

    def _without_ray(self) -> Iterator[str]:
        if sys.platform == "win32":
            yield "pool=ray: Ray's clusters are not for Windows; use pool=process"
        if find_spec("ray") is None:
            yield "pool=ray: needs the package ray: pip install 'capsexp[ray]'"
        if self.address not in ("auto", "local") and not is_socket(self.address):
            yield f"pool.address: {self.address} is no address; give HOST:PORT (a cluster's is 6379), auto or local"

    def room(self, workers: int | None) -> Iterator[str]:
        """Why so many workers (None: `auto`) have no place on the nodes."""
        if self.name != "ray":
            return
        if workers is None and not self.per_node:
            yield "workers: auto with pool=ray needs pool.per_node=N, as the nodes' CPUs are not known yet"
        elif workers is not None and workers < self.nodes:
            yield f"workers: {workers} are fewer than pool.nodes={self.nodes}; lower pool.nodes"
        elif workers is not None and self.per_node and workers > self.nodes * self.per_node:
            yield (
                f"workers: {workers} do not fit on pool.nodes={self.nodes} with pool.per_node={self.per_node}; raise "
                "one of them"
            )
