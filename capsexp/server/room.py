"""How many workers the memory has room for."""

from __future__ import annotations

from collections.abc import Callable

from capsexp.errors import RunRefused
from capsexp.machine import available_mb, total_mb


def refuse_or_reduce(policy: str, warn: Callable[[str], None]) -> Callable[[int, float], int]:
    """How many of `count` workers fit when each beyond the first takes `each_mb`; keeps a tenth of the memory free.

    Raises RunRefused when they do not all fit and `policy` is `refuse`.
    """

    def fits(count: int, each_mb: float) -> int:
        room_mb = available_mb() - 0.1 * total_mb()
        extra = count - 1 if each_mb <= 0 else max(0, min(count - 1, int(max(0.0, room_mb) // each_mb)))
        if extra == count - 1:
            return count
        line = f"{count} workers of {each_mb:.0f} MB do not fit into the {room_mb:.0f} MB that are free"
        if policy == "refuse":
            raise RunRefused(f"{line}; lower `workers` or set server.on_low_memory=reduce")
        warn(f"{line}; reduced to {1 + extra}")
        return 1 + extra

    return fits
