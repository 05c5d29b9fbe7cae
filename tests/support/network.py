"""python network.py COMMAND...: runs it in a network of its own, that holds a loopback and nothing else (Linux).

For servers that cannot be told to listen on the loopback alone. Exit code 99 where the system allows none."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

NEWNET, NEWUSER = 0x40000000, 0x10000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
REFUSED = 99


def own() -> bool:
    """Whether this process has a network of its own now, with its loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEWNET) and libc.unshare(NEWNET | NEWUSER):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    return True


if __name__ == "__main__":
    try:
        got = own()
    except (OSError, AttributeError):
        got = False
    if not got:
        sys.exit(REFUSED)
    os.execvp(sys.argv[1], sys.argv[1:])
