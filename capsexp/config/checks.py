"""What several groups check."""

from __future__ import annotations

from collections.abc import Iterator

from capsexp.errors import ConfigError
from capsexp.plugins import nearest


def one_of(key: str, value: str, names: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a value that is none of these."""
    if value not in names:
        yield f"{key}: unknown value {value!r}{nearest(value, names)}"


def count(key: str, value: object, what: str) -> int | None:
    """A number of something, None for `auto`; raises ConfigError for anything else."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}: {value!r} is not {what}; give a whole number from 1 or `auto`")
    return value
