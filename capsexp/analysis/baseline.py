"""What each configuration is compared with: the fewest workers with the same threads, and one worker that may use as
many cores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from capsexp.config import SWEEP_KEYS

# Keys that do not make another experiment of it: what is compared, and what only watches, judges or files it.
_ASIDE = SWEEP_KEYS | {"workers", "pool", "thresholds", "validity", "report", "archive", "monitor", "control"}
# Engines that recognize on one core whatever `threads` says: their best single worker is the baseline itself.
ONE_CORE = frozenset({"sphinx", "null"})
_SERVER_ASIDE = frozenset({"port", "grace", "ready_timeout", "on_low_memory", "stuck_s", "stuck_rtf"})


def group_key(config: dict[str, Any], *aside: str) -> str:
    """Equal for configurations that differ only in workers, pool and what is named in `aside`."""
    kept = {key: value for key, value in config.items() if key not in _ASIDE and key not in aside}
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


def without_fault(configurations: list[dict[str, Any]], configs: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """For each configuration with an injected fault, the one of the sweep that differs only in having none."""
    alike: dict[tuple[Any, ...], str] = {}
    for c in configurations:
        if configs[c["key"]].get("fault", {}).get("name", "none") == "none":
            alike[_but_for_fault(c, configs)] = c["key"]
    return {
        c["key"]: alike[place]
        for c in configurations
        if (place := _but_for_fault(c, configs)) in alike and alike[place] != c["key"]
    }


def _but_for_fault(one: dict[str, Any], configs: Mapping[str, dict[str, Any]]) -> tuple[Any, ...]:
    return one["workers"], one["pool"], group_key(configs[one["key"]], "fault")


def _rank(one: dict[str, Any]) -> tuple[int, bool]:
    return one["workers"] or 1 << 30, one["pool"] != "process"


def equal_core(one: dict[str, Any], singles: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, str | None]:
    """Of `singles`, configurations with one worker and the same settings but for `threads`, the one with the highest
    throughput among those that use no more threads than `one` does in all; and why there is none that would be fair.

    With few cores, the threads inside a recognizer already give much of what a second process gives: against
    `workers=1,threads=1` alone that would look like a gain of the processes.
    """
    room = (one["workers"] or 1) * one["threads"]
    known = [s for s in singles if s["throughput_xrt"] is not None and s["threads"] <= room]
    if not known:
        return None, "no configuration with one worker completed"
    if one["engine"] not in ONE_CORE and not any(s["threads"] > one["threads"] for s in known):
        return None, (
            f"no single worker with more threads than {one['threads']} in this sweep; "
            f"threads={one['threads']},{room} would add one with as many cores"
        )
    return max(known, key=lambda s: (s["throughput_xrt"], -s["threads"])), None
