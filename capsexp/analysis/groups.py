"""Which configurations answer one question: those that differ in what the same server can be told, and in nothing that
clients do. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.analysis import baseline
from capsexp.results.report import Configuration
from capsexp.results.run import Tree

Configs = Mapping[str, Tree]  # settings by a configuration's key

# Of server=, what makes another server of it; everything else there is a setting of the same one.
_WHICH_SERVER = ("name", "cmd", "url")


def groups(found: Sequence[Configuration], configs: Configs) -> dict[str, list[Configuration]]:
    """By what tells one question from the others, empty where there is one only."""
    asked: dict[str, list[Configuration]] = {}
    for c in found:
        asked.setdefault(_question(configs[c.key]), []).append(c)
    flat = {
        question: dict(leaves({k: v for k, v in json.loads(question).items() if k != "fault"})) for question in asked
    }
    varied = {key for one in flat.values() for other in flat.values() for key in one if one[key] != other.get(key)}
    # A group of settings with a name is told by its name: engine=null says more than each setting of both engines.
    varied -= {key for key in varied if f"{key.partition('.')[0]}.name" in varied and not key.endswith(".name")}
    named: dict[str, list[Configuration]] = {}
    for question, own in asked.items():
        said = [f"{key.removesuffix('.name')}={flat[question].get(key)}" for key in sorted(varied)]
        named.setdefault(", ".join(said), []).extend(own)
    return named


def _question(config: Tree) -> str:
    """Equal for configurations that differ only in what the same server can be told, or in injected faults."""
    kept = json.loads(baseline.group_key(config, "threads", "fault", "placement"))
    kept["server"] = {key: config["server"].get(key) for key in _WHICH_SERVER}
    return json.dumps(kept, sort_keys=True)


def leaves(tree: Tree, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found
