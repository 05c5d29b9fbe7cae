"""What a sweep ran on, for the record: no names of machines, no paths, no times."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from capsexp import __version__
from capsexp import punctuation as punctuator
from capsexp.config import Config, PunctuationConfig
from capsexp.engines import EngineConfig, base
from capsexp.errors import CapsexpError
from capsexp.files import sha256
from capsexp.machine import total_mb, usable_cpus
from capsexp.results.run import Run, Tree

PACKAGES = (
    "hydra-core", "omegaconf", "psutil", "websockets", "numpy", "pocketsphinx", "soundfile", "soxr", "funasr-onnx",
    "onnxruntime", "kaldi-native-fbank", "sherpa-onnx", "jiwer", "tabulate",
)  # fmt: skip


def describe(engines: list[EngineConfig]) -> dict[str, Any]:
    """Machine, system, packages, commit and the hashes of the engines' model files."""
    return {**machine(), "models": {engine.name: models(engine) for engine in engines}}


def of_run(config: Config) -> dict[str, Any]:
    """The environment of one run, which its run.json keeps: others of its sweep may be made in another."""
    return {**machine(), "models": models(config.engine, config.punctuation)}


@cache
def machine() -> dict[str, Any]:
    """What all runs that this process makes have in common."""
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
    }


def software() -> dict[str, Any]:
    """What of it is replaced by an upgrade."""
    return {key: machine()[key] for key in ("python", "packages")}


def models(engine: EngineConfig, punctuation: PunctuationConfig | None = None) -> dict[str, dict[str, Any]]:
    """Size and hash of each model file, by the name of its folder and its own."""
    found: dict[str, dict[str, Any]] = {}
    try:
        files = base.model_files(engine)
        if punctuation is not None and punctuation.name != "none":
            files = [*files, *punctuator.files(punctuation)]
        for path in files:
            status = path.stat()
            found[f"{path.parent.name}/{path.name}"] = {
                "bytes": status.st_size, "sha256": _sha256(path, status.st_size, status.st_mtime_ns)
            }  # fmt: skip
    except (CapsexpError, OSError):
        return {}  # the run itself will say what is missing
    return found


def with_engines(environment: Tree, runs: Iterable[Run]) -> dict[str, Any]:
    """What the engines said of themselves once they ran: the threads they really have."""
    said = {f"{run.engine}, threads={run.threads}": run.engine_about for run in runs if run.engine_about}
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


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Of a file as it was then: a model takes a second to read, and a sweep asks for every run."""
    return sha256(path)
