"""Pools of workers: one dispatcher (`pool`), and a file per way of bringing workers to life."""

from __future__ import annotations

import sys
from collections.abc import Callable

from capsexp.server.messages import WorkerSettings
from capsexp.server.pools.base import Launcher


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
