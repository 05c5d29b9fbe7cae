"""What a sweep ran on, for the record: no names of machines, no paths, no times."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from capsexp import __version__
from capsexp.config import EngineConfig
from capsexp.engines import base
from capsexp.errors import CapsexpError
from capsexp.machine import total_mb, usable_cpus

PACKAGES = (
    "hydra-core", "omegaconf", "psutil", "websockets", "numpy", "pocketsphinx", "soundfile", "soxr", "funasr-onnx",
    "onnxruntime", "kaldi-native-fbank", "sherpa-onnx", "jiwer", "tabulate",
)  # fmt: skip


def describe(engines: list[EngineConfig]) -> dict[str, Any]:
    """Machine, system, packages, commit and the hashes of the engines' model files."""
    cpu = _cpu_info()
    return {
        "capsexp": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu.get("model name", platform.processor()),
        "cpu_flags": [
            f for f in cpu.get("flags", "").split() if f.startswith(("avx", "sse4", "amx", "fma", "f16c", "asimd"))
        ],
        "cpus_usable": usable_cpus(),
        "cpus_physical": psutil.cpu_count(logical=False),
        "memory_mb": round(total_mb()),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "models": {engine.name: _files(engine) for engine in engines},
    }


def with_engines(environment: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the engines said of themselves once they ran: the threads they really have."""
    said = {f"{run['engine']}, threads={run['threads']}": run["engine_about"] for run in runs if run["engine_about"]}
    return {**environment, "engines": said}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_info() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _commit() -> str | None:
    """Of the checkout this package runs from, if it is one; `+` when files were changed."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _files(engine: EngineConfig) -> dict[str, dict[str, Any]]:
    """Each model file's size and hash."""
    try:
        files = base.model_files(engine)
    except CapsexpError:
        return {}  # the run itself will say what is missing
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        found[f"{path.parent.name}/{path.name}"] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
    return found
