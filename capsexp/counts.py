"""Counts in words."""

from __future__ import annotations


def counted(number: float, noun: str) -> str:
    """`1 worker`, `2 workers`, `2 processes`, `3 more tables`: the number with its noun, which is given as one."""
    if number == 1:
        return f"1 {noun}"
    whole = int(number) if number == int(number) else number  # of CPUs there may be fractions
    return f"{whole} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
