"""CPU time that is used on purpose. Nothing here is large to import: whoever forks must have no threads."""

from __future__ import annotations

import os
import sys
import time


def own_cpu() -> None:
    """From now on this process has the last of its CPUs and no other, where the system can do that; whoever else calls
    this has the same one."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def use(seconds: float) -> None:
    """CPU time, however long that takes."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
