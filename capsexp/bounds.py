"""What a number of the configuration may be: said beside its default, checked in one place.

A number that says nothing is finite and not below zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

MOST = 1e9  # of anything that says nothing else: an hour has 3600 s, a huge message 6e7 bytes


@dataclass(frozen=True)
class Bounds:
    low: float = 0.0
    high: float = MOST
    above: bool = False  # `low` itself is too low
    hint: str = ""

    def fault(self, value: float) -> str:
        """What is wrong with a value, or nothing."""
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
        return f"{said}; {self.hint}" if self.hint else said


ANY = Bounds()


def number(default: Any, low: float = 0.0, high: float = MOST, *, above: bool = False, hint: str = "") -> Any:
    """A field of a dataclass with bounds of its own."""
    return field(default=default, metadata={"bounds": Bounds(low, high, above, hint)})


def problems(tree: object, prefix: str = "", bounds: Bounds = ANY) -> Iterator[str]:
    """`key: value is below 0` of every number in a configuration that is out of its bounds."""
    if is_dataclass(tree):
        for each in fields(tree):
            own = each.metadata.get("bounds", ANY)
            yield from problems(getattr(tree, each.name), f"{prefix}.{each.name}" if prefix else each.name, own)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            yield from problems(value, f"{prefix}.{name}", bounds)
    elif isinstance(tree, list):
        for value in tree:
            yield from problems(value, prefix, bounds)
    elif isinstance(tree, int | float) and not isinstance(tree, bool) and (wrong := bounds.fault(tree)):
        shown = repr(tree) if isinstance(tree, float) or abs(tree) < 10**20 else "a number of so many digits"
        yield f"{prefix}: {shown} {wrong}"
