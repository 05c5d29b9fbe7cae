"""A setting, written once: its default, what it may be, and the line that says what it is. The YAML of conf/,
docs/reference/settings.md and the checks are made of it.

A number that says nothing is finite and not below zero.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from capsexp.plugins import nearest

MOST = 1e9  # of any number that says nothing else: an hour has 3600 s, a huge message 6e7 bytes
_KEY = "setting"  # in a field's metadata


@dataclass(frozen=True)
class Setting:
    """`says`: what it is, with its unit, in a line; `low`, `high`: of a number or those in it, `above`: `low` itself is
    too low; `choices`: of a text or those in a list; `hint`: what to do about a number out of its bounds; `takes`: what
    it may be, where its type, bounds and choices do not tell; `written`: how conf/ gives the default, where that is of
    another setting."""

    says: str = ""
    low: float = 0.0
    high: float = MOST
    above: bool = False
    choices: tuple[str, ...] = ()
    hint: str = ""
    takes: str = ""
    written: str | None = None

    def fault(self, value: object) -> str:
        """What is wrong with a number or a text, or nothing."""
        if isinstance(value, str):
            return self._unknown(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._out_of_bounds(value)
        return ""

    def _unknown(self, value: str) -> str:
        known = not self.choices or value in self.choices
        return "" if known else f"unknown value {value!r}{nearest(value, self.choices)}"

    def _out_of_bounds(self, value: float) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            said = "is not a finite number"
        elif value < self.low:
            said = f"is below {self.low:.10g}"
        elif value > self.high:
            said = f"is above {self.high:.10g}"
        elif self.above and value == self.low:
            said = f"is not above {self.low:.10g}"
        else:
            return ""
        shown = repr(value) if isinstance(value, float) or abs(value) < 10**20 else "a number of so many digits"
        return f"{shown} {said}; {self.hint}" if self.hint else f"{shown} {said}"


PLAIN = Setting()  # of a field that says nothing


def setting(
    default: Any,
    says: str = "",
    *,
    low: float = 0.0,
    high: float = MOST,
    above: bool = False,
    choices: Iterable[str] = (),
    hint: str = "",
    takes: str = "",
    written: str | None = None,
) -> Any:
    """A field of a dataclass: see `Setting`."""
    return _field(default, Setting(says, low, high, above, tuple(choices), hint, takes, written))


def redefault(base: type, name: str, default: Any, **changed: Any) -> Any:
    """The setting of a base class with another default, and whatever else of `Setting` differs."""
    inherited = next(each for each in fields(base) if each.name == name)
    return _field(default, replace(of(inherited.metadata), **changed))


def _field(default: Any, what: Setting) -> Any:
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.deepcopy(default), metadata={_KEY: what})
    return field(default=default, metadata={_KEY: what})


def of(metadata: Mapping[Any, Any]) -> Setting:
    """What a field's metadata say of it."""
    found: Setting = metadata.get(_KEY, PLAIN)
    return found


def problems(tree: object, prefix: str = "", what: Setting = PLAIN) -> Iterator[str]:
    """`key: value is below 0` of every number in a configuration that is out of its bounds, and `key: unknown value` of
    every text that is none of its choices."""
    if is_dataclass(tree):
        for each in fields(tree):
            key = f"{prefix}.{each.name}" if prefix else each.name
            yield from problems(getattr(tree, each.name), key, of(each.metadata))
    elif isinstance(tree, dict):
        for name, value in tree.items():
            yield from problems(value, f"{prefix}.{name}", what)
    elif isinstance(tree, list):
        for value in tree:
            yield from problems(value, prefix, what)
    elif wrong := what.fault(tree):
        yield f"{prefix}: {wrong}"
