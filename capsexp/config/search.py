"""`search`: which runs a sweep makes beside those that its command names."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.setting import setting

SEARCHES = ("grid", "capacity", "race")


@dataclass
class SearchConfig:
    """Which runs a sweep makes: grid, those that are asked for. capacity: it looks for the most users (load.users) or
    requests per second (load.rate) whose SLO holds and whose texts are right, for each configuration. race: after each
    round it drops what surely cannot be the configuration to run, and takes none of the settings below."""

    name: str = setting("grid", "which search", choices=SEARCHES)
    requests: int = setting(120, "requests in a run, at least, not counting each user's first", low=20, high=100_000)
    risk: float = setting(0.025, "of passing a load that is too much, and of the contrary", low=1e-6, high=0.2)
    looks: int = setting(6, "how many runs an undecided load gets before it stays undecided", low=1, high=100)
    precision: float = setting(0.1, "how wide the band may stay, as a share of its lower end", high=1)
    confirm: int = setting(
        2, "how many runs the largest passing load needs; all of them together decide", low=1, high=100
    )
    step: float = setting(1.0, "of load.rate: loads are multiples of it", above=True)
    most: int = setting(4096, "that is tried, in steps", low=1, high=1_000_000)
    budget_s: float | None = setting(3600.0, "s that it may take, in each command; null: as long as it takes")
