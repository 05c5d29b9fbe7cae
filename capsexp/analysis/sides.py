"""The two sides of one sweep, which makes the runs of both in turn: which run is of which side. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from capsexp.analysis.aggregate import Observed
from capsexp.analysis.groups import differing, leaves, spelled
from capsexp.counts import counted
from capsexp.errors import ConfigError
from capsexp.keys import AFTERWARDS, SWEEP_KEYS
from capsexp.results.run import Tree

_ASIDE = SWEEP_KEYS.union(AFTERWARDS)
_NOT_THERE = object()


@dataclass(frozen=True)
class Sides:
    """`names`: the value of the setting that they differ in, of the baseline and of what is checked. What differs in
    nothing else has one key in both."""

    names: tuple[str, str]
    before: list[Observed]
    after: list[Observed]


def sides(observed: Sequence[Observed], by: str) -> Sides:
    """`by`: the setting, dotted, of which the sweep has two values; the one that ran first is the baseline. Raises
    ConfigError."""
    runs = sorted(observed, key=lambda one: one.run.num)
    values = [_said(_value(one.run.config, by)) for one in runs]
    known = list(dict.fromkeys(values))
    first, second = known if len(known) == 2 else (None, None)
    if first is None or second is None:
        found = "is no setting of" if None in known else f"has {counted(len(known), 'value')} in"
        raise ConfigError(f"--by {by}: {found} this sweep; name a setting that has two values, as in {by}=A,B")
    rests = [json.dumps(_rest(one.run.config, by), sort_keys=True) for one in runs]
    keys = _keys(rests)
    both = [
        [_called(one, keys[rest]) for one, rest, value in zip(runs, rests, values, strict=True) if value == name]
        for name in known
    ]
    return Sides((first, second), *both)


def _called(one: Observed, key: str) -> Observed:
    return replace(one, run=msgspec.structs.replace(one.run, key=key))


def _value(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name, _NOT_THERE) if isinstance(tree, Mapping) else _NOT_THERE
    return tree


def _said(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("name", _NOT_THERE)
    if value is _NOT_THERE:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _rest(tree: Tree, path: str, top: bool = True) -> Tree:
    """Without the setting, and without what does not change what is measured."""
    first, _, rest = path.partition(".")
    return {
        key: _rest(value, rest, top=False) if key == first and rest and isinstance(value, Mapping) else value
        for key, value in tree.items()
        if not (top and key in _ASIDE) and not (key == first and not rest)
    }


def _keys(rests: Sequence[str]) -> dict[str, str]:
    """What each is called: by the settings that tell it from the others."""
    flat = {rest: dict(leaves(json.loads(rest))) for rest in rests}
    named = differing(list(flat.values())) or ["workers"]
    return {rest: ",".join(spelled(one, named)) for rest, one in flat.items()}
