"""GPU memory, utilization and power of a run, from the rows of gpu.csv. Pure. MB are 2**20 bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from capsexp.results.report import GpuUse
from capsexp.results.rows import Row
from capsexp.results.tables import SERVER_ROLES


def usage(rows: Sequence[Row], window: tuple[float, float] | None) -> GpuUse | None:
    """Of the GPUs on which a process of the server was seen, or, as nobody knows, of all. None without any."""
    ours = [row for row in rows if row["role"] in SERVER_ROLES]
    used = {row["gpu"] for row in ours} or {row["gpu"] for row in rows}
    devices = [row for row in rows if row["role"] == "gpu" and row["gpu"] in used]
    if not devices:
        return None
    inside = [row for row in devices if window and window[0] <= row["time_s"] <= window[1]]
    known = bool(ours) and all(row["memory_mb"] is not None for row in ours)
    busy, power = _at_each(inside, "utilization_percent"), _at_each(inside, "power_w")
    return GpuUse(
        memory_mb=max(map(sum, _at_each(ours, "memory_mb"))) if known else None,
        device_memory_mb=max(map(sum, _at_each(devices, "memory_mb")), default=None),
        utilization_percent=fmean(map(fmean, busy)) if busy else None,
        power_w=fmean(map(sum, power)) if power else None,
    )


def typical(runs: Sequence[GpuUse]) -> GpuUse | None:
    """Of a configuration's runs: of memory the most, of the rest the median. None where no run used a GPU."""

    def known(name: str) -> list[float]:
        return [value for run in runs if (value := getattr(run, name)) is not None]

    if not runs:
        return None
    most = {name: max(known(name), default=None) for name in ("memory_mb", "device_memory_mb")}
    middle = {name: median(known(name)) if known(name) else None for name in ("utilization_percent", "power_w")}
    return GpuUse(**most, **middle)


def _at_each(rows: Sequence[Row], column: str) -> list[list[float]]:
    """What is known at each look."""
    found: defaultdict[float, list[Any]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            found[row["time_s"]].append(row[column])
    return list(found.values())
