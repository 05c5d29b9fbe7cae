"""How a driver of ours joins a Ray cluster. For a process of its own: `ray.init` replaces its signal handlers, and Ray
ends it when the cluster's head is lost."""

from __future__ import annotations

import os
import socket
from typing import Any

PROBE_S = 5.0  # for a cluster's port to answer: Ray itself asks a dead one for minutes
LONGEST = 300  # characters of a reason


def join(address: str) -> Any:
    """The module `ray`, connected. `address`: HOST:PORT, or `auto` for the cluster of RAY_ADDRESS or of this machine.
    Raises OSError, and what Ray raises."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    import ray

    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S).close()
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    return ray


def brief(error: BaseException) -> str:
    """In one line; of what was raised in an actor its cause, not how it was called."""
    error = getattr(error, "cause", None) or error
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__
