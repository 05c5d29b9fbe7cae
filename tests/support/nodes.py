"""Nodes for pool=ray without Ray: agents that are processes of ours, and a pool over them."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil

from capsexp.config import PoolConfig
from capsexp.engines.null import NullConfig
from capsexp.server.messages import WorkerSettings
from capsexp.server.pools.base import WorkerInfo
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.pools.ray_launcher import RayLauncher
from capsexp.server.pools.ray_nodes import Node


class Agents:
    """A placement of agents on this machine. One that is killed stays so until `again`."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.agents: dict[int, subprocess.Popen[str]] = {}

    def start(self, nodes: int, listen: Callable[[str], int], secret: bytes, fail: Callable[[str], None]) -> None:
        self.told = {"host": "127.0.0.1", "port": listen("127.0.0.1"), "secret": secret.hex()}
        for node in range(nodes):
            self.again(node)

    def again(self, node: int) -> None:
        agent = subprocess.Popen(
            [sys.executable, "-m", "capsexp.server.pools.ray_agent"], stdin=subprocess.PIPE, text=True
        )
        assert agent.stdin is not None
        agent.stdin.write(json.dumps({**self.told, "node": node}) + "\n")
        agent.stdin.flush()
        self.agents[node] = agent

    def tree(self, node: int) -> list[psutil.Process]:
        """The agent of a node and all that it started."""
        agent = psutil.Process(self.agents[node].pid)
        return [agent, *agent.children(recursive=True)]

    def alive(self) -> bool:
        return any(agent.poll() is None for agent in self.agents.values())

    def end(self) -> None:
        for agent in self.agents.values():
            assert agent.stdin is not None
            with contextlib.suppress(OSError):
                agent.stdin.close()

    def kill(self) -> None:
        for agent in self.agents.values():
            agent.kill()
            agent.wait()


class Cluster:
    """A pool over agents, with what it said of its nodes and workers."""

    def __init__(self, workers: int, nodes: int, inner: str = "process", lost_s: float = 3.0, **engine: Any) -> None:
        self.agents, self.events, self.seen = Agents(), list[tuple[str, int, str]](), list[tuple[str, WorkerInfo]]()
        settings = {"name": "null", **engine}
        assert all(hasattr(NullConfig, name) for name in settings)
        pool = PoolConfig(name="ray", inner=inner, nodes=nodes, lost_s=lost_s)
        launcher = RayLauncher(pool, WorkerSettings(settings, {"name": "none"}), 1, workers, self._on_node, self.agents)
        self.launcher = launcher
        self.pool = WorkerPool(launcher, workers, 2, lambda what, info: self.seen.append((what, info)))

    def _on_node(self, what: str, node: Node, why: str) -> None:
        self.events.append((what, node.index, why))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Cluster"]:
        try:
            await self.pool.start()
            yield self
        finally:
            left = [one for node in self.agents.agents for one in self._tree(node)]
            await self.pool.stop(5.0)
            self.agents.kill()
            _, alive = psutil.wait_procs(left, timeout=5.0)
            assert not alive, alive

    def _tree(self, node: int) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return self.agents.tree(node)
        return []
