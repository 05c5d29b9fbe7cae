"""NVIDIA GPUs, by the driver's own library (NVML): how busy each is, what it draws, and what our processes hold of its
memory.

NVML tells what it can: much is unknown on some models, in some modes of the driver (WDDM) and without permission, and
then stays empty. In a container it may number processes as its host does, and none of them is known to be ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from capsexp.machine import MB
from capsexp.monitor.probes.base import Column, Row, Watch
from capsexp.results.tables import SERVER_ROLES

COLUMNS = (
    Column("gpu", "", "its number, as NVML counts"),
    Column("utilization_percent", "%", "of the time in which something ran there, in the driver's last interval"),
    Column("memory_mb", "MB", "role gpu: used by anybody; others: held by this process"),
    Column("power_w", "W", "that it draws"),
)
ROLES = ("gpu", *SERVER_ROLES)
EVERY_S = 1.0
COST = "five calls of the driver for each GPU"


def missing() -> str | None:
    try:
        import pynvml
    except ImportError:
        return "it needs nvidia-ml-py; install it with: pip install 'capsexp[gpu]'"
    try:
        with contextlib.closing(Gpus(pynvml)) as gpus:
            return None if gpus.count else "the NVIDIA driver sees no GPU; leave gpu out of monitor.probes"
    except pynvml.NVMLError as error:
        return f"no NVIDIA driver answers ({error}); install one, or leave gpu out of monitor.probes"


def start(watch: Watch) -> Gpus:
    import pynvml

    return Gpus(pynvml)


class Gpus:
    """`nvml`: the module pynvml. Raises its NVMLError where the driver does not answer."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self.count: int = nvml.nvmlDeviceGetCount()

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        ours = {row["pid"]: row for row in watched if "pid" in row}
        found: list[Row] = []
        for number in range(self.count):
            device = self._ask(self._nvml.nvmlDeviceGetHandleByIndex, number)
            if device is None:  # it is lost; another may not be
                continue
            found.append({"role": "gpu", "gpu": number, **self._device(device)})
            for pid, size in self._held(device).items():
                if pid in ours:
                    row = ours[pid]
                    more = {} if size is None else {"memory_mb": size / MB}
                    found.append({"role": row["role"], "worker": row.get("worker"), "pid": pid, "gpu": number, **more})
        return found

    def _device(self, device: Any) -> Row:
        row: Row = {}
        if (rates := self._ask(self._nvml.nvmlDeviceGetUtilizationRates, device)) is not None:
            row["utilization_percent"] = rates.gpu
        if (memory := self._ask(self._nvml.nvmlDeviceGetMemoryInfo, device)) is not None:
            row["memory_mb"] = memory.used / MB
        if (milliwatts := self._ask(self._nvml.nvmlDeviceGetPowerUsage, device)) is not None:
            row["power_w"] = milliwatts / 1000
        return row

    def _held(self, device: Any) -> dict[int, int | None]:
        """Bytes by pid. Who computes and draws is in both lists, with the same memory."""
        held: dict[int, int | None] = {}
        for ask in (self._nvml.nvmlDeviceGetComputeRunningProcesses, self._nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for process in self._ask(ask, device) or ():
                known = [size for size in (held.get(process.pid), process.usedGpuMemory) if size is not None]
                held[process.pid] = max(known, default=None)
        return held

    def _ask(self, call: Callable[[Any], Any], of: Any) -> Any:
        """None where the driver, the model or our rights do not let it be known."""
        try:
            return call(of)
        except self._nvml.NVMLError:
            return None
