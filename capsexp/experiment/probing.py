"""The runs of a search for a capacity: the first load of each configuration, and further ones as `analysis` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.analysis import capacity_search, slo
from capsexp.config import Config, SearchConfig
from capsexp.errors import ConfigError
from capsexp.overrides import key_of
from capsexp.results.run import Tree


def over(config: Config) -> str:
    """The setting that is searched. Raises ConfigError where there is nothing to search, or nothing promised."""
    load = config.load
    if load.size is None:
        raise ConfigError(
            f"search=capacity: load={load.name} has no size that can be searched; take load=dictation, mixed or rate"
        )
    if not slo.limits(vars(config.slo)):
        raise ConfigError("search=capacity: nothing is promised; say what has to hold, as slo=dictation")
    return f"load.{load.size}"


def first(config: Config) -> float:
    """The load that the search begins with: as it is set, in whole steps."""
    found: Any = config.load
    for part in (config.load.size or "").split("."):
        found = found[part] if isinstance(found, Mapping) else getattr(found, part)
    step: float = _step(config)
    return step * max(1, round(float(found) / step))


def _step(config: Config) -> float:
    """Users come one by one."""
    return config.search.step if config.load.size == "rate" else 1


def overrides(config: Config, size: float) -> list[str]:
    """What is said of a run of this load, its size first: it lasts as long as its decision needs, and ends as soon as
    that is sure."""
    load, search = config.load, config.search
    values = load.sized(size, search.requests)
    timed = [limit for limit in slo.limits(vars(config.slo)) if limit.tag.startswith(("stop_to_text", "turnaround"))]
    if timed:
        most = max(capacity_search.most_late(search.requests, limit.allowed, search.risk) for limit in timed)
        values |= {"give_up_s": max(limit.value for limit in timed), "give_up_late": most}
    own = f"load.{load.size}"
    said = {f"load.{key}": value for key, value in values.items()}
    return [f"{own}={_plain(said.pop(own))}", *(f"{key}={_plain(value)}" for key, value in said.items())]


def _plain(value: float) -> str:
    return f"{value:g}" if value < 1e6 else str(value)


def sibling(given: Sequence[str], key: str, config: Config) -> list[str]:
    """The overrides of the run with this key, from those of another load of the same configuration."""
    size = float(capacity_search.split(key, over(config))[1])
    more = overrides(config, size)
    changed = {key_of(o) for o in more}
    return [*(o for o in given if key_of(o) not in changed), *more]


def settings(config: Config) -> Tree:
    """What sweep.json says of the search."""
    return {**vars(config.search), "over": over(config), "step": _step(config)}


def is_search(search: SearchConfig) -> bool:
    return search.name == "capacity"


def key(name: str, size: float, searched: str) -> str:
    """Of a run, by the configuration's."""
    return f"{name},{searched}={_plain(size)}" if name else f"{searched}={_plain(size)}"
