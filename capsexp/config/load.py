"""`load`: how much is sent, and how; each kind of load has its own keys (see capsexp.load)."""

from __future__ import annotations

from capsexp.config.checks import count
from capsexp.load import LoadConfig as LoadConfig


def repeat_count(value: object) -> int | None:
    """`load.repeats` as a number, None for `auto`; raises ConfigError for anything else."""
    return count("load.repeats", value, "how often to send the samples")
