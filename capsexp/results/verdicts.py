"""The words for what came of a run, a limit, a configuration and a sweep. In files they are these strings."""

from __future__ import annotations

from enum import Enum


class _Word(str, Enum):
    """Said and written as its value (enum.StrEnum, which Python 3.10 has not)."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class Status(_Word):
    """How a run ended, and a configuration's runs did; those from MISSING on are of configurations without any run that
    could be read."""

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"  # what was asked for cannot be measured here
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNANALYSED = "unanalysed"


class Reading(_Word):
    """What came of a limit: INCONCLUSIVE where an interval holds it, NOT_JUDGED where nothing was to be held against
    it."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_JUDGED = "NOT_JUDGED"


class Verdict(_Word):
    """Of a configuration and of a sweep. BASELINE: what others are compared with; right and within its memory, and
    asked for no speedup. INVALID: none of the runs that would have to decide it counts."""

    FEASIBLE = "FEASIBLE"
    CAVEATS = "FEASIBLE_WITH_CAVEATS"
    NOT_FEASIBLE = "NOT_FEASIBLE"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    BASELINE = "BASELINE"


SURE = (Verdict.FEASIBLE, Verdict.CAVEATS, Verdict.BASELINE)  # of these one may be recommended
