"""Counts and numbers in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def counted(number: float, noun: str) -> str:
    """`1 worker`, `2 workers`, `2 processes`, `3 more tables`: the number with its noun, which is given as one."""
    if number == 1:
        return f"1 {noun}"
    whole = int(number) if number == int(number) else number  # of CPUs there may be fractions
    return f"{whole} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def once(lines: Iterable[str], noun: str = "run") -> str:
    """Each line once, with how many say so where several do: `no port (3 runs); killed`."""
    return "; ".join(f"{line} ({counted(n, noun)})" if n > 1 else line for line, n in Counter(lines).items())


def apart(value: float, limit: float, digits: int, most: int = 6) -> int:
    """How many digits behind the point tell a value from a limit; `digits` where they are equal, or tell them apart."""
    differ = (n for n in range(digits, most + 1) if f"{value:.{n}f}" != f"{limit:.{n}f}")
    return digits if value == limit else next(differ, most)
