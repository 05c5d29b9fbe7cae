"""What kind of node a run was made on: figures of two kinds are never compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

from capsexp.results.run import Tree

_MODEL = 60  # characters of a CPU's name


def kind(environment: Tree | None) -> str | None:
    """In a few words; None where an earlier version did not say enough. Equal for nodes with the same CPU model, CPU
    flags, number of usable CPUs, class of memory (the nearest power of two, in GB) and kernel. Packages and models are
    compared by a run's fingerprint."""
    if not isinstance(environment, Mapping):
        return None
    cpus, memory_mb = environment.get("cpus_usable"), environment.get("memory_mb")
    if not isinstance(cpus, int | float) or not isinstance(memory_mb, int | float) or memory_mb <= 0:
        return None
    model = str(environment.get("cpu") or environment.get("machine") or "?")[:_MODEL].strip()
    gb = 2.0 ** round(math.log2(memory_mb / 1024))
    flags = json.dumps(environment.get("cpu_flags") or []).encode()
    told = f"{cpus:g} x {model}, {gb:g} GB, {environment.get('system', '?')}"
    return f"{told} [{hashlib.sha256(flags).hexdigest()[:4]}]"
