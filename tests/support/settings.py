"""A tree of settings with one of them changed."""

from typing import Any

from capsexp.config import Config, to_dict
from capsexp.engines import settings


def changed(key: str, value: Any, engine: str = "null") -> dict[str, Any]:
    tree = to_dict(Config(engine=settings(engine)()))
    *path, last = key.split(".")
    at = tree
    for name in path:
        at = at[name]
    at[last] = value
    return tree
