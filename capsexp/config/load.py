"""`load`: how much is sent, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capsexp.bounds import number
from capsexp.config.checks import count


@dataclass
class LoadConfig:
    concurrency: int = 0  # requests at once; 0 = all, with repeats=auto or hours= all samples
    repeats: Any = "auto"  # of every sample: int >= 1, or as many as last for `min_s`
    min_s: float = number(10.0)  # that the fastest configuration is to take, with repeats=auto
    seg_duration: float = number(15.0, low=0.1)
    seg_overlap: float = 2.0
    # seconds of audio per message
    message_s: float = number(60.0, low=0.01, high=60, hint="CapsWriter sends at most 60 s of audio in a message")
    seed: int = number(0, high=2**64)  # order of the requests; 0 = as listed
    timeout: float = number(600.0, low=0.1)  # for the whole measured phase
    progress: bool = True

    @property
    def longest_segment_s(self) -> float:
        """The last one has what is left when no further one can be cut."""
        return self.seg_duration + 2 * self.seg_overlap

    def faults(self) -> Iterator[str]:
        repeat_count(self.repeats)
        return iter(())


def repeat_count(value: object) -> int | None:
    """`load.repeats` as a number, None for `auto`; raises ConfigError for anything else."""
    return count("load.repeats", value, "how often to send the samples")
