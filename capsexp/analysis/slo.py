"""What users are promised, and whether it is kept: each limit of an SLO allows a share of requests to be beyond it,
which is judged as a search for a capacity judges it (see `capacity`). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isinf
from typing import Any

import msgspec
import numpy as np

from capsexp.analysis.capacity import Stretch, bounds, decided
from capsexp.analysis.latency import FEWEST, Experience
from capsexp.results.report import SloResult
from capsexp.results.verdicts import Reading

SHARE = "late_share"
STRETCHES = 8  # of a run
RISK = 0.025  # of calling kept what is not, and the contrary: for each limit


@dataclass(frozen=True)
class Limit:
    """Of `tag`, a percentile in seconds or the share that is late; of a class of requests, or of all (None). `allowed`:
    the share of requests that may be beyond `value`; of late_share it is the limit itself."""

    tag: str
    value: float
    kind: str | None = None

    @property
    def name(self) -> str:
        return self.tag if self.kind is None else f"{self.kind}: {self.tag}"

    @property
    def allowed(self) -> float:
        if self.tag == SHARE:
            return self.value
        percent, _ = FEWEST[self.tag.split("_")[-2]]
        return round(1 - percent / 100, 2)

    def felt(self, one: Experience) -> float | None:
        """What a request felt of it, in seconds, of late_share as a multiple of its duration; None where it says
        nothing of it. What never came is beyond any limit."""
        if self.tag == SHARE:
            waited = one.stop_to_text_s if one.spoken else one.turnaround_s
            return waited and waited / one.duration_s if one.duration_s else waited
        found: float | None = getattr(one, f"{self.tag.rpartition('_p')[0]}_s")
        return found

    def beyond(self, felt: float) -> bool:
        return felt > (1.0 if self.tag == SHARE else self.value)


def limits(slo: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Those that are set, of all requests and then of each class."""
    found = [Limit(tag, value) for tag, value in slo.items() if isinstance(value, float | int)]
    for kind, own in (slo.get("classes") or {}).items():
        found += [Limit(tag, value, kind) for tag, value in own.items() if value is not None]
    return tuple(found)


def settled(run: Sequence[Experience]) -> list[Experience]:
    """Requests by when they were due, without the first of each user who has several: that one found nobody there."""
    count, seen, kept = Counter((one.kind, one.user) for one in run), set[tuple[str | None, int]](), []
    for one in sorted(run, key=lambda one: one.due_s):
        who = (one.kind, one.user)
        if who in seen or count[who] == 1:
            kept.append(one)
        seen.add(who)
    return kept


def stretches(run: Sequence[Experience], limit: Limit) -> tuple[Stretch, ...]:
    """Of the requests of a run that are under this limit."""
    late = [limit.beyond(felt) for felt in _felt(run, limit)]
    size = ceil(len(late) / STRETCHES) or 1
    parts = (late[at : at + size] for at in range(0, len(late), size))
    return tuple(Stretch(len(part), sum(part)) for part in parts)


def _felt(run: Sequence[Experience], limit: Limit) -> list[float]:
    own = [one for one in settled(run) if limit.kind in (None, one.kind)]
    felt = ((one, limit.felt(one)) for one in own)
    # Of who still waited when the load ended no more is known than that it was at least so long.
    return [s for one, s in felt if s is not None and (limit.beyond(s) or not one.censored)]


def judge(runs: Sequence[Sequence[Experience]], slo: Mapping[str, Any], looks: bool = False) -> tuple[SloResult, ...]:
    """Each limit, by all valid runs of a configuration. `looks`: it is asked after each of them (trials=auto), so that
    each look has less of the risk."""
    return tuple(_judged(runs, limit, len(runs) if looks else 0) for limit in limits(slo))


def _judged(runs: Sequence[Sequence[Experience]], limit: Limit, looks: int) -> SloResult:
    found = [stretch for run in runs for stretch in stretches(run, limit)]
    requests, late = sum(s.requests for s in found), sum(s.late for s in found)
    known = SloResult(
        name=limit.name, metric=limit.tag, kind=limit.kind, limit=limit.value, allowed=limit.allowed,
        requests=requests, late=late, verdict=Reading.NOT_JUDGED, reason="no request was measured for it",
    )  # fmt: skip
    if not requests:
        return known
    risk = RISK / (looks * (looks + 1)) if looks else RISK
    low, high = bounds(found, risk)
    felt = [felt for run in runs for felt in _felt(run, limit)]
    value = late / requests if limit.tag == SHARE else _percentile(felt, limit)
    return _with(known, value, (low, high), decided((low, high), limit.allowed))


def _with(known: SloResult, value: float | None, share: tuple[float, float], verdict: Reading) -> SloResult:
    percent = " to ".join(f"{100 * each:.1f}" for each in share)
    reason = (
        f"{known.late} of {known.requests} requests exceeded it: {percent} % (at most {100 * known.allowed:g} % may)"
    )
    return msgspec.structs.replace(known, value=value, late_ci=share, verdict=verdict, reason=reason)


def _percentile(felt: Sequence[float], limit: Limit) -> float | None:
    """None below the requests that it needs, and where it is of one that never came."""
    percent, needed = FEWEST[limit.tag.split("_")[-2]]
    if len(felt) < needed:
        return None
    found = float(np.percentile(felt, percent, method="higher"))
    return None if isinf(found) else found


def verdict(results: Sequence[SloResult]) -> Reading:
    """Of all limits together; PASS where there is none."""
    said = {one.verdict for one in results}
    if Reading.FAIL in said:
        return Reading.FAIL
    return Reading.INCONCLUSIVE if said & {Reading.INCONCLUSIVE, Reading.NOT_JUDGED} else Reading.PASS


def missed(results: Sequence[SloResult]) -> Iterator[str]:
    """The names of the limits that are not kept."""
    return (one.name for one in results if one.verdict == Reading.FAIL)
