"""The largest number of connections: open files of this process, and the limit of our own server."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.machine import len_open, open_files

OTHER_FILES = 64  # descriptors for everything but connections: look-ups of names, results that are written
ASIDE = 8  # connections that a server may still count when we have closed them


@dataclass(frozen=True)
class ConnectionLimit:
    """Requests at once, connections at once with those that are being closed (None: no bound), and what to say where
    that is less than was asked for."""

    requests: int
    connections: int | None
    warning: str | None = None


def limit_connections(wanted: int, admitted: int | None) -> ConnectionLimit:
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
        return ConnectionLimit(wanted, None)
    most, why = min(bounds)
    if wanted <= most:
        return ConnectionLimit(wanted, most)
    return ConnectionLimit(most, most, f"{wanted} requests at once do not fit, as {why}: {most} at once instead")
