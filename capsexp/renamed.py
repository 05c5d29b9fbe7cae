"""Settings that had another name in an earlier version, for the folders and archives that it has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED = {"control": "reference"}  # before 0.2
_VALUES = {"reference": {"on": "engine"}}


def renewed(tree: Mapping[Any, Any]) -> dict[Any, Any]:
    """A tree of settings, or what holds their names, in the names of this version. What has both is left as it is."""
    new = dict(tree)
    for old, name in RENAMED.items():
        if old in new and name not in new:
            value = new.pop(old)
            if isinstance(value, dict) and "name" in value:
                value = {**value, "name": _VALUES.get(name, {}).get(str(value["name"]), value["name"])}
            new[name] = value
    return new
