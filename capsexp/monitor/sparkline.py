"""Numbers over time in one line of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"


def sparkline(over_time: Iterable[float], width: int, top: float | None = None) -> str:
    """`width` columns at most, each the largest of its share of the values; `top` is the full height (None: the
    largest), the foot is 0."""
    values = list(over_time)
    if not values or width < 1:
        return ""
    columns = min(width, len(values))
    cut = [round(i * len(values) / columns) for i in range(columns + 1)]
    peaks = [max(values[a:b]) for a, b in pairwise(cut)]
    full = max(top or 0.0, *peaks) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int(max(0.0, peak) / full * len(BARS)))] for peak in peaks)
