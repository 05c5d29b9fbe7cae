"""Looking after each trial whether it is enough, without spoiling what is said in the end. Pure.

Stopping at the first look at which a 95 % interval excludes the limit is wrong far more often than once in 20 times: a
true speedup that equals the limit is missed by one interval in six after up to eight looks. So with trials=auto a
verdict needs more than is shown: an interval of level DECIDES on one side of the limit, at whichever look it is (one
level for all looks: Pocock, Biometrika 64, 1977; as intervals: Jennison and Turnbull, J. R. Stat. Soc. B 51, 1989).
And as a sweep stops more readily where its trials happen to look alike, the interval shown after further looks is one
of SHOWN. Both levels were found by simulation, so that what is shown as 95 % holds the truth 95 times in 100 wherever
the truth lies: benchmarks/coverage.py.
"""

from __future__ import annotations

from capsexp.analysis import statistics

FIRST_LOOK = statistics.FEWEST  # trials
SHOWN = 0.97
DECIDES = 0.995


def shown(count: int, looks: bool) -> float:
    """The level of the interval shown as 95 %, of `count` trials or pairs. `looks`: they were looked at one by one."""
    return SHOWN if looks and count > FIRST_LOOK else 0.95
