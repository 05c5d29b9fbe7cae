"""How much load a server carries: which load to try next, and what the tries say. Pure.

A probe is a load that was tried, in one trial or several. It holds an SLO where the share of requests that were later
than its limit is at most what the SLO allows. Requests of one run are no independent witnesses: they stand in a queue
together. So their share is judged with as many requests as its spread over stretches of the runs is worth (Kish, Survey
Sampling, 1965, 8.2), by the exact interval of a proportion (Clopper and Pearson, Biometrika 26, 1934), and what is not
decided is tried again, with less of the risk left at each look. The answer is a band: the most that passed, the least
that failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from capsexp.results.verdicts import Reading

TEXTS = "correctness"  # binds where a text was wrong, however early it came
FEWEST_STRETCHES = 4


@dataclass(frozen=True)
class Stretch:
    """Consecutive requests of one run: how many, and how many of them were late."""

    requests: int
    late: int


@dataclass(frozen=True)
class Probe:
    """`load`: in steps of the search (users, rate). `stretches`: by limit of the SLO, of all trials;
    `wrong`: requests whose text was not right, or never came."""

    load: int
    trials: int
    stretches: Mapping[str, tuple[Stretch, ...]]
    wrong: int = 0

    def __add__(self, more: Probe) -> Probe:
        """With further trials of the same load and SLOs."""
        both = {name: (*own, *more.stretches[name]) for name, own in self.stretches.items()}
        return Probe(self.load, self.trials + more.trials, both, self.wrong + more.wrong)


@dataclass(frozen=True)
class Rule:
    """`allowed`: by SLO, the share of requests that may be late: 0.05 of a limit on p95. `risk`: of calling a load
    feasible that is not, and of the contrary, for each load that is tried. A load that is still open after `looks`
    trials is left so. `precision`: how wide the band may be, as a share; `confirm`: trials at its lower end."""

    allowed: Mapping[str, float]
    risk: float = 0.025
    looks: int = 6
    start: int = 1
    most: int = 4096
    precision: float = 0.0
    confirm: int = 2


@dataclass(frozen=True)
class Band:
    """`feasible_max`: 0 where not even the least load passed; `infeasible_min`: None where nothing failed. `binding`:
    what failed first there. `resolved`: nothing in between is left to try."""

    feasible_max: int
    infeasible_min: int | None
    binding: str | None
    resolved: bool


def decide(probe: Probe, rule: Rule) -> Reading:
    """Whether all SLOs hold; INCONCLUSIVE: that is open."""
    if probe.wrong:
        return Reading.FAIL
    found = [_decide(probe.stretches[name], share, probe.trials, rule.risk) for name, share in rule.allowed.items()]
    return next((one for one in (Reading.FAIL, Reading.INCONCLUSIVE) if one in found), Reading.PASS)


def _decide(stretches: Sequence[Stretch], allowed: float, look: int, risk: float) -> Reading:
    # which sums to the risk however many looks there are
    return decided(bounds(stretches, risk / (look * (look + 1))), allowed)


def decided(share: tuple[float, float], allowed: float) -> Reading:
    """What the bounds of a share say of one that is allowed."""
    low, high = share
    if high <= allowed:
        return Reading.PASS
    return Reading.FAIL if low > allowed else Reading.INCONCLUSIVE


def bounds(stretches: Sequence[Stretch], risk: float) -> tuple[float, float]:
    """Bounds (Clopper-Pearson) of the share of late requests, each wrong with probability `risk` at most;
    0 and 1 without requests."""
    from scipy.special import betaincinv  # slow to import, and needed where a capacity is sought only

    if not stretches:
        return 0.0, 1.0
    worth = 1 / _design_effect(stretches)
    requests, late = (worth * sum(each) for each in zip(*((s.requests, s.late) for s in stretches), strict=True))
    low = float(betaincinv(late, requests - late + 1, risk)) if late else 0.0
    high = float(betaincinv(late + 1, requests - late, 1 - risk)) if late < requests else 1.0
    return low, high


def _design_effect(stretches: Sequence[Stretch]) -> float:
    """Kish's design effect: variance of the late share between stretches over that of independent requests, at least
    1; 1 where there are too few stretches, or none or all requests are late."""
    requests, late = sum(s.requests for s in stretches), sum(s.late for s in stretches)
    if len(stretches) < FEWEST_STRETCHES or not 0 < late < requests:
        return 1.0
    share = late / requests
    squares = sum((s.late - share * s.requests) ** 2 for s in stretches) / (len(stretches) - 1)
    return max(1.0, squares * len(stretches) / (requests * share * (1 - share)))


def next_load(probes: Sequence[Probe], rule: Rule) -> int | None:
    """What to try, the same again where it is open; None where the band is as narrow as it gets."""
    known = {probe.load: decide(probe, rule) for probe in probes}
    looks = {probe.load: probe.trials for probe in probes}
    low, high = _ends(known)
    waiting = [load for load in known if low < load < (high or load + 1) and known[load] == Reading.INCONCLUSIVE]
    if again := [load for load in waiting if looks[load] < rule.looks]:
        return min(again)
    if high is None:
        tried = max(known, default=0)
        if tried < rule.most:
            return min(rule.most, 2 * tried or rule.start)
        high = rule.most + 1
    steps = sorted({low, *waiting, high})
    gaps = [(b - a, a, b) for a, b in pairwise(steps) if b - a > max(1, rule.precision * a)]
    # What is open on both sides of a gap tells nothing of it; a gap at an end of the band can narrow it.
    useful = [gap for gap in gaps if gap[1] == low or gap[2] == high]
    if useful:
        _, a, b = max(useful)
        return (a + b) // 2
    return low if low and looks[low] < rule.confirm else None


def _ends(known: Mapping[int, Reading]) -> tuple[int, int | None]:
    high = min((load for load, verdict in known.items() if verdict == Reading.FAIL), default=None)
    passed = (load for load, verdict in known.items() if verdict == Reading.PASS and (high is None or load < high))
    return max(passed, default=0), high


def band(probes: Sequence[Probe], rule: Rule) -> Band:
    """What they say so far."""
    low, high = _ends({probe.load: decide(probe, rule) for probe in probes})
    ended = next_load(probes, rule) is None
    binds = next((_binding(probe, rule) for probe in probes if probe.load == high), None)
    narrow = high is not None and high - low <= max(1, rule.precision * low)
    return Band(low, high, binds, ended and narrow)


def _binding(probe: Probe, rule: Rule) -> str:
    """What a probe fails by: of SLOs the one that is missed by most."""
    if probe.wrong:
        return TEXTS
    missed = {name: bounds(probe.stretches[name], rule.risk)[0] / share for name, share in rule.allowed.items()}
    return max(missed, key=lambda name: missed[name])
