"""Limits the number of workers to what fits into memory."""

from __future__ import annotations

import math
from collections.abc import Callable

from capsexp.errors import RunRefused
from capsexp.machine import available_mb, total_mb

# Upper bound of the memory that a segment takes in any model that we know of: MB per second of audio, and MB per second
# squared, as attention is over the whole segment (a small Paraformer: 0.01).
SEGMENT_MB, SEGMENT_MB2 = 1.0, 0.05


def is_ample(longest_s: float) -> Callable[[int, float], bool]:
    """The test `ample(count, each_mb)`: whether the workers beyond the first fit into memory twice over, by the upper
    bound for a segment of `longest_s` seconds, so that it need not be measured. `each_mb`: MB of a worker that has had
    no long segment yet."""

    def ample(count: int, each_mb: float) -> bool:
        guessed_mb = each_mb + SEGMENT_MB * longest_s + SEGMENT_MB2 * longest_s**2
        return 2 * (count - 1) * guessed_mb <= _room_mb()

    return ample


def refuse_or_reduce(policy: str, warn: Callable[[str], None]) -> Callable[[int, float], int]:
    """How many of `count` workers fit when each beyond the first takes `each_mb`; keeps a tenth of the memory free.

    `each_mb` is infinite when the first one did not get through the longest segment. Raises RunRefused when they do
    not all fit and `policy` is `refuse`.
    """

    def fits(count: int, each_mb: float) -> int:
        room_mb = max(0.0, _room_mb())
        extra = count - 1
        if each_mb > 0:
            extra = min(extra, int(room_mb // each_mb) if math.isfinite(each_mb) else 0)
        if extra == count - 1:
            return count
        each = f" of {each_mb:.0f} MB each" if math.isfinite(each_mb) else ""
        line = (
            f"{count} workers{each} do not fit: {available_mb():.0f} MB are available, "
            f"of which {0.1 * total_mb():.0f} MB (a tenth of the memory) stay free"
        )
        if policy == "refuse":
            raise RunRefused(f"{line}; lower `workers` or set server.on_low_memory=reduce")
        warn(f"{line}; reduced to {1 + extra}")
        return 1 + extra

    return fits


def _room_mb() -> float:
    return available_mb() - 0.1 * total_mb()
