"""`search`: which runs a sweep makes besides those that its command names."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting

SEARCHES = ("grid", "capacity", "race")


@dataclass
class SearchConfig:
    """Which runs a sweep makes. grid: those that the command names. capacity: for each configuration, it searches for
    the most users (load.users) or requests per second (load.rate) for whom the SLO holds and the texts are right. race:
    after each round it drops what certainly is not the best configuration, and uses none of the settings below."""

    name: str = setting("grid", "which search", choices=SEARCHES)
    requests: int = setting(
        120, "smallest number of requests in a run, not counting each user's first", low=20, high=100_000
    )
    risk: float = setting(
        0.025, "probability of passing a load that is too high, and of failing one that is not", low=1e-6, high=0.2
    )
    looks: int = setting(6, "most runs of a load; after these it stays undecided", low=1, high=100)
    precision: float = setting(0.1, "width of the band at which the search ends, as a share of its lower end", high=1)
    confirm: int = setting(2, "fewest runs of the largest passing load; all its runs decide together", low=1, high=100)
    step: float = setting(1.0, "load.rate: loads are multiples of this, in its unit", above=True)
    most: int = setting(4096, "largest load that is tried, in steps", low=1, high=1_000_000)
    budget_s: float | None = setting(3600.0, "s that the search may take, for each command; null: no limit")
