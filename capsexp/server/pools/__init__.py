"""Pools of workers: one dispatcher (`pool`), and a file per way of bringing workers to life."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from capsexp.config import Config
from capsexp.machine import whole_cpus
from capsexp.server.messages import WorkerSettings
from capsexp.server.pools.base import Launcher

if TYPE_CHECKING:
    from capsexp.server.pools.ray_nodes import Node


def launcher(
    kind: str, settings: WorkerSettings, threads: int, count: int, on_loader: Callable[[int], None]
) -> Launcher:
    """The kind of pool that `pool=` names; `on_loader` is told the pid of a process that only loads."""
    if kind == "prefork" and sys.platform == "linux":
        from capsexp.server.pools.prefork import PreforkLauncher

        return PreforkLauncher(settings, threads, on_loader)
    if kind == "thread":
        from capsexp.server.pools.thread import ThreadLauncher

        return ThreadLauncher(settings, threads, count)
    from capsexp.server.pools.process import ProcessLauncher

    return ProcessLauncher(settings, threads)


def for_server(
    config: Config,
    settings: WorkerSettings,
    count: int,
    on_loader: Callable[[int], None],
    on_node: Callable[[str, Node, str], None],
    on_driver: Callable[[int], None],
) -> Launcher:
    """The pool of a configuration; `on_node` and `on_driver`: see RayLauncher and RayCluster. On the event loop's
    thread, where all three are called."""
    if config.pool.name != "ray":
        return launcher(config.pool.name, settings, config.threads, count, on_loader)
    from capsexp.server.pools.ray_cluster import RayCluster
    from capsexp.server.pools.ray_launcher import RayLauncher

    loop = asyncio.get_running_loop()

    def told(what: str, node: Node, why: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(on_node, what, node, why)

    cluster = RayCluster(config.pool.address, on_driver)
    return RayLauncher(config.pool, settings, config.threads, count, told, cluster)


def most_workers(config: Config) -> int:
    """With workers=auto."""
    pool = config.pool
    return pool.nodes * pool.per_node if pool.name == "ray" else max(1, whole_cpus() // config.threads)
