"""What a sweep ran on, for the record: no names of machines, no paths, no times."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TypedDict

import psutil

from capsexp import __version__, topology
from capsexp import punctuation as punctuator
from capsexp.config import Config, PunctuationConfig
from capsexp.engines import ENGINES, EngineConfig, base
from capsexp.errors import CapsexpError
from capsexp.files import sha256
from capsexp.load import LOADS
from capsexp.machine import total_mb, usable_cpus
from capsexp.plugpoints import EXECUTORS, PROBES
from capsexp.results import nodes
from capsexp.results.run import Run, Tree
from capsexp.targets import TARGETS

NOT_OF_RUNS = frozenset({"twin", "train", "mlflow", "dev"})  # extras by which things are built, shown or tested


class ModelFile(TypedDict):
    bytes: int
    sha256: str


def describe(engines: Sequence[EngineConfig], runs: Iterable[Config]) -> Tree:
    """Machine, system, packages, commit and the hashes of the engines' model files."""
    used = {name: version for run in runs for name, version in packages(run).items()}
    return {**machine(), "packages": used, "models": {engine.name: models(engine) for engine in engines}}


def of_run(config: Config) -> Tree:
    """The environment of one run, which its run.json keeps: others of its sweep may be made in another."""
    return {**machine(), "packages": packages(config), "models": models(config.engine, config.punctuation)}


@cache
def machine() -> Tree:
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
        "topology": _topology(),
        "memory_mb": round(total_mb()),
    }


def _topology() -> Tree:
    """Of the CPUs that we may run on; where the system does not tell which of them share a core, their count only."""
    seen = topology.read()
    told = {"cores": seen.cores, "sockets": seen.sockets, "nodes": seen.nodes, "siblings": seen.siblings}
    return {
        "cpus": len(seen.cpus) or None, **(told if seen.told else {}), "quota": seen.quota,
        "governors": sorted(seen.governors),
    }  # fmt: skip


def of_node(config: Config) -> dict[str, str | None]:
    """What tells the kind of node apart on which a reference is made, where runs are made elsewhere; empty here."""
    return {} if config.executor.local else {"node": nodes.kind(machine())}


def software(config: Config) -> Tree:
    """What is replaced by an upgrade."""
    return {"python": platform.python_version(), "packages": packages(config)}


def packages(config: Config) -> dict[str, str]:
    """The versions of all that a run is made with: what we need and what that needs, with the extras that are
    installed, and the packages of other people's that its plug-ins come from, with what they need."""
    chosen = [
        ENGINES.distribution(config.engine.name), TARGETS.distribution(config.target.name),
        LOADS.distribution(config.load.name), EXECUTORS.distribution(config.executor.name),
        *(PROBES.distribution(name) for name in config.monitor.probes or PROBES.names()),
    ]  # fmt: skip
    return dict(_installed(tuple(sorted({name for name in chosen if name is not None}))))


@cache
def _installed(others: tuple[str, ...]) -> dict[str, str]:
    """By name, sorted, with `others` and what they need."""
    found: dict[str, str | None] = {}
    waiting = [*_needed("capsexp", aside=NOT_OF_RUNS), *others]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found[name] = _version(name)
            waiting += _needed(name)
    return {name: version for name, version in sorted(found.items()) if version is not None}


_REQUIREMENT = re.compile(r"\s*(?P<name>[\w.-]+)[^;]*(?:;(?P<marker>.*))?")
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")


def _needed(package: str, aside: Collection[str] | None = None) -> list[str]:
    """The names of what an installed package says that it needs, also on other systems (it is not installed here), and
    for its extras but those `aside`; None: for none of them."""
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []
    found = [match for line in lines if (match := _REQUIREMENT.fullmatch(line))]
    extras = [(one["name"], _EXTRA.findall(one["marker"] or "")) for one in found]
    return [name for name, of in extras if not of or (aside is not None and not set(of) & set(aside))]


def models(engine: EngineConfig, punctuation: PunctuationConfig | None = None) -> dict[str, ModelFile]:
    """Size and hash of each model file, by the name of its folder and its own."""
    found: dict[str, ModelFile] = {}
    try:
        files = base.model_files(engine)
        if punctuation is not None and punctuation.name != "none":
            files = [*files, *punctuator.files(punctuation)]
        for path in files:
            status = path.stat()
            digest = _sha256(path, status.st_size, status.st_mtime_ns)
            found[f"{path.parent.name}/{path.name}"] = ModelFile(bytes=status.st_size, sha256=digest)
    except (CapsexpError, OSError):
        return {}  # the run itself will say what is missing
    return found


def with_engines(environment: Tree, runs: Iterable[Run]) -> Tree:
    """What the engines said of themselves once they ran: the threads they really have."""
    said = {f"{run.engine}, threads={run.threads}": run.engine_about for run in runs if run.engine_about}
    return {**environment, "engines": said}


def of_nodes(environment: Tree, runs: Iterable[Run]) -> Tree:
    """The same with what the first run was made on in place of this machine, where runs are made elsewhere; `nodes`:
    the kinds of nodes, where there are several."""
    made = [run.environment for run in runs if run.environment is not None]
    if not made:
        return environment
    kinds = {kind: None for one in made if (kind := nodes.kind(one)) is not None}
    own = {key: value for key, value in made[0].items() if key not in ("models", "packages")}
    return {**environment, **own, **({"nodes": list(kinds)} if len(kinds) > 1 else {})}


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
