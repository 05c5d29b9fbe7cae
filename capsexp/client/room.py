"""How many connections there is room for: files that this process may open, and what our own server lets in."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass

OTHER_FILES = 64  # descriptors for everything but connections: look-ups of names, results that are written
ASIDE = 8  # connections that a server may still count when we have closed them


@dataclass(frozen=True)
class Room:
    """Requests at once, connections at once with those that are being closed (None: no bound), and what to say where
    that is less than was asked for."""

    requests: int
    connections: int | None
    warning: str | None = None


def room(wanted: int, admitted: int | None) -> Room:
    """For `wanted` requests at once; `admitted`: connections that the server takes, where it is ours and says so."""
    bounds = []
    files = open_files(2 * wanted + OTHER_FILES)
    if files is not None:
        most = max(1, files - len_open() - OTHER_FILES)
        bounds.append((most, f"this process may have {files} files open (ulimit -n)"))
    if admitted is not None:
        most = max(1, admitted - min(ASIDE, admitted // 8))
        bounds.append((most, f"the server takes {admitted} connections (server.max_connections)"))
    if not bounds:
        return Room(wanted, None)
    most, why = min(bounds)
    if wanted <= most:
        return Room(wanted, most)
    return Room(most, most, f"{wanted} requests at once do not fit, as {why}: {most} at once instead")


def open_files(needed: int) -> int | None:
    """How many files this process may have open, after raising its own limit as far as needed and as the system lets
    it; None where there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def len_open() -> int:
    """How many files this process has open; about, where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 32
