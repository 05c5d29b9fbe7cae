"""Finds out whether a server answers at an address, and which process it is."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from urllib.parse import urlsplit

import psutil

from capsexp import machine
from capsexp.address import port_of
from capsexp.experiment.child import Child, group_of


def free_port() -> int:
    """Of this machine, just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answers(url: str) -> bool:
    """Whether somebody takes a connection."""
    return not unreachable(url, 1.0)


def unreachable(url: str, timeout: float) -> str:
    """Why nobody can be reached at an address; nothing if somebody can."""
    try:
        socket.create_connection((urlsplit(url).hostname or "127.0.0.1", port_of(url)), timeout=timeout).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def listener(url: str) -> int | None:
    """The process behind an external server's port, when it is on this machine and may be looked at."""
    if not _is_here(urlsplit(url).hostname or "127.0.0.1"):
        return None
    with contextlib.suppress(psutil.Error, PermissionError):
        return machine.listener(port_of(url))
    return None


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        wanted = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    mine = {address.address for card in psutil.net_if_addrs().values() for address in card}
    return any(ipaddress.ip_address(a.partition("%")[0]).is_loopback or a in mine for a in wanted)


def belongs(pid: int, server: Child) -> bool:
    """Whether a process is a server's, or of its group, or below it."""
    try:
        if pid == server.root or group_of(pid) == server.pid:
            return True
        return server.root in (p.pid for p in psutil.Process(pid).parents())
    except psutil.Error:
        return False
