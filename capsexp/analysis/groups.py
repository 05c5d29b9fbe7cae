"""Groups configurations among which one is recommended: they differ only in settings of the server. Pure."""

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
    varied = differing(list(flat.values()))
    named: dict[str, list[Configuration]] = {}
    for question, own in asked.items():
        named.setdefault(", ".join(spelled(flat[question], varied)), []).extend(own)
    return named


def _question(config: Tree) -> str:
    """Equal for configurations that differ only in what the same server can be told, or in injected faults."""
    kept = json.loads(baseline.group_key(config, "threads", "fault", "placement"))
    kept["server"] = {key: config["server"].get(key) for key in _WHICH_SERVER}
    return json.dumps(kept, sort_keys=True)


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The dotted keys that tell some of these from others, sorted. A group of settings with a name is told by its name:
    engine=null says more than each setting of both engines."""
    keys = {key for one in settings for other in settings for key in one if one[key] != other.get(key)}
    return sorted(key for key in keys if key.endswith(".name") or f"{key.partition('.')[0]}.name" not in keys)


def spelled(settings: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """What these keys are in them, as a command line has it."""
    return [f"{key.removesuffix('.name')}={settings.get(key)}" for key in keys]


def leaves(tree: Tree, prefix: str = "") -> list[tuple[str, Any]]:
    """Each setting of a tree by its dotted key, in the tree's order."""
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found
