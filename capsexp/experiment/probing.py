"""The runs of a search for a capacity: the first load of each configuration, and further ones as `analysis` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.analysis import capacity_search, slo
from capsexp.config import Config, LoadConfig
from capsexp.errors import ConfigError
from capsexp.overrides import key_of
from capsexp.results.run import Tree

# A worker that is back within a second would hardly show: what is asked is how many users are safe without it.
STAYS_DEAD = "fault.stays_dead=true"


def over(config: Config) -> str:
    """The setting that is searched. Raises ConfigError where there is nothing to search, or nothing promised."""
    load = config.load
    if load.size is None:
        raise ConfigError(
            f"search=capacity: load={load.name} has no size that can be searched; take load=dictation, mixed or rate"
        )
    limits = slo.limits(vars(config.slo))
    if not limits:
        raise ConfigError("search=capacity: no SLO is set; choose one, e.g. slo=dictation")
    if untold := next((limit.name for limit in limits if not _tell(limit, load)), None):
        raise ConfigError(
            f"search=capacity: no request of load={load.name} counts for the limit {untold}; leave it out, or use a "
            "load that has such requests: pacing=realtime for a limit on speech, and the limit's class"
        )
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
    return config.search.step if (config.load.size or "").rpartition(".")[2] == "rate" else 1


def _tell(limit: slo.Limit, load: LoadConfig) -> set[str]:
    """The classes whose requests tell of it: nobody stops speaking, or is followed, in a burst."""
    of_speech = limit.tag.startswith(("stop_to_text", "lag"))
    return {
        kind
        for kind, part in load.by_class().items()
        if limit.kind in (None, kind) and (part.pacing == "realtime" or not of_speech)
    }


def overrides(config: Config, size: float) -> list[str]:
    """The overrides of a run at this load, its size first: it lasts as long as a decision needs, and ends early once it
    certainly fails. That is judged by the time limits on the class that is varied alone, as only its number of requests
    is known beforehand."""
    load, search = config.load, config.search
    sized = load.sized(size, search.requests)
    values = dict(sized.values)
    timed = [
        limit
        for limit in slo.limits(vars(config.slo))
        if limit.tag.startswith(("stop_to_text", "turnaround")) and _tell(limit, load) == {sized.kind}
    ]
    if timed:
        most = max(capacity_search.most_late(sized.requests, limit.allowed, search.risk) for limit in timed)
        values |= {"give_up_s": max(limit.value for limit in timed), "give_up_late": most}
        if sized.kind:
            values["give_up_class"] = sized.kind
    own = f"load.{load.size}"
    keyed = {f"load.{key}": value for key, value in values.items()}
    return [_override(own, keyed.pop(own)), *(_override(key, value) for key, value in keyed.items())]


def _override(key: str, value: float | str) -> str:
    """A class need not say what is the default."""
    return f"{'++' if key.startswith('load.classes.') else ''}{key}={_plain(value)}"


def _plain(value: float | str) -> str:
    if isinstance(value, str):
        return value
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


def key(name: str, size: float, searched: str) -> str:
    """Of a run, by the configuration's."""
    return f"{name},{searched}={_plain(size)}" if name else f"{searched}={_plain(size)}"
