"""What each configuration is compared with."""

from __future__ import annotations

import json
from typing import Any

# Keys that do not make another experiment of it: what is compared, and what only watches, judges or files it.
_ASIDE = frozenset(
    {"workers", "pool", "trial", "trials", "name", "resume", "thresholds", "report", "archive", "monitor", "control"}
)
_SERVER_ASIDE = frozenset({"port", "grace", "ready_timeout", "on_low_memory", "stuck_s", "stuck_rtf"})


def group_key(config: dict[str, Any]) -> str:
    """Equal for configurations that differ only in workers and pool."""
    kept = {key: value for key, value in config.items() if key not in _ASIDE}
    kept["server"] = {key: value for key, value in config["server"].items() if key not in _SERVER_ASIDE}
    return json.dumps(kept, sort_keys=True)


def find(configurations: list[dict[str, Any]]) -> dict[str, str]:
    """The baseline's key for each configuration's key: of its group the one with the fewest workers, pool `process`
    first. Configurations have `key`, `workers`, `pool` and `group`."""
    best: dict[str, dict[str, Any]] = {}
    for one in configurations:
        if one["group"] not in best or _rank(one) < _rank(best[one["group"]]):
            best[one["group"]] = one
    return {one["key"]: best[one["group"]]["key"] for one in configurations}


def _rank(one: dict[str, Any]) -> tuple[int, bool]:
    return one["workers"] or 1 << 30, one["pool"] != "process"
