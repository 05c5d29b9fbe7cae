"""Inspects this machine: a few files, CPU use over a moment, and a trial recognition by each engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from capsexp import machine, topology
from capsexp.config import Config
from capsexp.doctor.findings import Machine
from capsexp.engines import ENGINES, known
from capsexp.escape import one_line
from capsexp.monitor.probes import gpu
from capsexp.monitor.probes.neighbours import OURS, Neighbours, everybody

MOMENT_S = 1.0  # over which others are watched
ENGINE_S = 120.0  # for an engine to load and to recognize a second
SYS = Path("/sys/devices/system")
NVIDIA = Path("/dev/nvidiactl")
ONE = "--engine"  # of our own command: whether one engine recognizes


def seen(config: Config, asked: Sequence[str]) -> Machine:
    """This machine, for a configuration, which the words `asked` for."""
    busy, stolen, hogs = _others()  # before engines are loaded
    names = sorted(ENGINES.names())
    mine = config.engine.name
    return Machine(
        cpus=machine.usable_cpus(),
        topology=topology.read(),
        total_mb=machine.total_mb(),
        available_mb=machine.available_mb(),
        swap_used_mb=_swap_used_mb(),
        busy=busy,
        stolen=stolen,
        hogs=hogs,
        clock=_text(SYS / "clocksource/clocksource0/current_clocksource"),
        clock_s=time.get_clock_info("monotonic").resolution,
        files=machine.open_files(1 << 12),
        disk_mb=shutil.disk_usage(Path.cwd()).free / machine.MB,
        port=config.server.port,
        port_owner=_owner(config.server.port),
        ffmpeg=shutil.which("ffmpeg") is not None,
        engine=(mine, _refused(asked)),
        engines={name: _refused([f"engine={name}"]) for name in names if name != mine and known(name).speaks},
        gpu=gpu.missing(),
        nvidia=NVIDIA.exists(),
    )


def _others() -> tuple[float | None, float | None, dict[str, float]]:
    """Over a moment: the share of the CPUs that others used, that the host took, and CPUs by name."""
    counts, cpus = Neighbours(), machine.usable_cpus()
    counts.look(everybody(), set(), os.getpid())
    before, began = psutil.cpu_times(), time.monotonic()
    time.sleep(MOMENT_S)
    after, took = psutil.cpu_times(), time.monotonic() - began
    used = {row["name"]: row["cpu_s"] / took for row in counts.look(everybody(), set(), os.getpid())}
    used.pop(OURS, None)
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields if name[:5] != "guest"}
    whole = sum(spent.values())
    stolen = spent["steal"] / whole if "steal" in spent and whole > 0 else None
    return min(1.0, sum(used.values()) / cpus), stolen, used


def _swap_used_mb() -> float:
    with contextlib.suppress(OSError, RuntimeError):
        return float(psutil.swap_memory().used / machine.MB)
    return 0.0


def _owner(port: int) -> str | None:
    """Who listens on a port of this machine."""
    with contextlib.suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr[1] == port:
                with contextlib.suppress(psutil.Error):
                    return one_line(f"process {one.pid} ({psutil.Process(one.pid).name()})")
                return "somebody"
    return None


def _refused(asked: Sequence[str]) -> str | None:
    """Why the engine of a configuration cannot be used; None if it recognizes. In a process of its own, as what is
    broken may end it."""
    command = [sys.executable, "-m", "capsexp.doctor", ONE, *asked]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=ENGINE_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"it did not finish within {ENGINE_S:.0f} s"
    said = (made.stdout.strip() or made.stderr.strip()).rpartition("\n")[2].removeprefix("capsexp.doctor: ")
    return None if made.returncode == 0 else one_line(said or f"it ended with code {made.returncode}")


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None
