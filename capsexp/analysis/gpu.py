"""What a run used of GPUs, from the rows of gpu.csv. Pure. MB are 2**20 bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from capsexp.analysis.metrics import SERVER_ROLES, Row


def usage(rows: Sequence[Row], window: tuple[float, float] | None) -> dict[str, float | None] | None:
    """Of the GPUs on which a process of the server was seen, or, as nobody knows, of all. None without any.

    `memory_mb`: the most that the server's processes held at one look, None where it is not known of all of them;
    `device_memory_mb`: the most that anybody held; `utilization_percent`, `power_w`: means over the window of the mean
    (of the sum) of these GPUs."""
    ours = [row for row in rows if row["role"] in SERVER_ROLES]
    used = {row["gpu"] for row in ours} or {row["gpu"] for row in rows}
    devices = [row for row in rows if row["role"] == "gpu" and row["gpu"] in used]
    if not devices:
        return None
    inside = [row for row in devices if window and window[0] <= row["time_s"] <= window[1]]
    known = bool(ours) and all(row["memory_mb"] is not None for row in ours)
    busy, power = _at_each(inside, "utilization_percent"), _at_each(inside, "power_w")
    return {
        "memory_mb": max(map(sum, _at_each(ours, "memory_mb"))) if known else None,
        "device_memory_mb": max(map(sum, _at_each(devices, "memory_mb")), default=None),
        "utilization_percent": fmean(map(fmean, busy)) if busy else None,
        "power_w": fmean(map(sum, power)) if power else None,
    }


def typical(runs: Sequence[Mapping[str, float | None] | None]) -> dict[str, float | None] | None:
    """Of a configuration's runs: of memory the most, of the rest the median. None where no run used a GPU."""
    known = [run for run in runs if run is not None]
    if not known:
        return None
    found: dict[str, float | None] = {}
    for name in known[0]:
        values = [value for run in known if (value := run[name]) is not None]
        found[name] = (max(values) if name.endswith("memory_mb") else median(values)) if values else None
    return found


def _at_each(rows: Sequence[Row], column: str) -> list[list[float]]:
    """What is known at each look."""
    found: defaultdict[float, list[Any]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            found[row["time_s"]].append(row[column])
    return list(found.values())
