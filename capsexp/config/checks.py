"""Checks shared by several groups."""

from __future__ import annotations

from capsexp.errors import ConfigError


def count(key: str, value: object, what: str) -> int | None:
    """A number of something, None for `auto`; raises ConfigError for anything else."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}: {value!r} is not {what}; give a whole number from 1 or `auto`")
    return value
