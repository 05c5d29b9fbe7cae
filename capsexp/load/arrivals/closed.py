"""So many requests at a time: the next one begins as soon as one has its text."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.load.arrivals.all import plan as plan  # all of them, for as many places as there are
from capsexp.load.base import LoadConfig
from capsexp.setting import setting


@dataclass
class Settings(LoadConfig):
    """So many requests at a time: the next one begins as soon as one has its text."""

    name: str = "closed"
    concurrency: int = setting(
        4, "requests at once", low=1, hint="load=closed has at least 1 request at a time; load=all has no bound"
    )
