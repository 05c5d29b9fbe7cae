"""Whether a server got better or worse from one sweep to a later one. Pure.

The rule. Each figure of each configuration that both have is compared by Welch's t on the logarithms of its trials: the
limit comes of the noise that the trials showed. It has CHANGED when that noise would do as much in at most 1 of 20
checks of equal servers, all figures of a check together (Holm, Scandinavian Journal of Statistics 6, 1979), and when it
is nearer to a change by the least factor that matters than to none. It is the SAME when a change for the worse by that
factor is excluded at 5 % (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987); else it is UNDECIDED,
with the number of trials that would tell. Error rates are compared sample by sample, on their own scale.

What a machine does from one sweep to the next and never within one is not in that noise. So the rule is at its best
where one sweep has both sides (see `sides`): their runs are made in turn, and a drift of the machine is taken out.
Where there are three baselines or more, the noise is that from one of them to the next, and the later sweep is held
against the prediction interval of one more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capsexp.analysis import change, metrics, statistics
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.change import LEVEL, Comparison
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.metrics.metric import LOWER
from capsexp.analysis.statistics import FEWEST
from capsexp.counts import counted
from capsexp.results.verdicts import Status

WORSE, UNDECIDED, BETTER, SAME = "WORSE", "UNDECIDED", "BETTER", "SAME"
_BY_WEIGHT = (WORSE, UNDECIDED, BETTER, SAME)
LEAST = 0.10  # a change by this share matters, if nothing else is asked for
RUNS, RIGHT = "runs", "correctness"


@dataclass(frozen=True)
class Finding:
    """What came of one figure of one configuration. `limit`: how far the ratio (of an error rate the difference) may go
    on the worse side before it counts; `trials`: of each sweep, that would decide what is UNDECIDED."""

    key: str
    metric: str
    verdict: str
    reason: str
    before: float | None = None
    after: float | None = None
    ratio: float | None = None
    ci95: statistics.Interval | None = None
    limit: float | None = None
    trials: int | None = None


def overall(found: Sequence[Finding]) -> str:
    """Of a whole check: the worst that any figure came to; UNDECIDED where nothing was compared."""
    said = {one.verdict for one in found}
    return next((verdict for verdict in _BY_WEIGHT if verdict in said), UNDECIDED)


def judge(
    before: Sequence[Sequence[Observed]], after: Sequence[Observed], least: float = LEAST, in_turn: bool = False
) -> list[Finding]:
    """Each figure of each configuration of the first of the sweeps `before`: one, or three and more of equal servers.
    `least`: the share by which a figure changes before it matters; `in_turn`: the one and `after` are the two sides of
    one sweep, which made their runs in turn."""
    found: list[Finding] = []
    comparisons: list[Comparison] = []
    for key in dict.fromkeys(o.run.key for o in before[0]):
        old = [[o for o in runs if o.run.key == key] for runs in before]
        new, every = [o for o in after if o.run.key == key], [o for runs in old for o in runs]
        if (why := _not_made(every, new)) is not None:
            found.append(why)
            continue
        found += _right(key, every, new)
        if (why := _too_few(old, new)) is not None:
            found.append(why)
            continue
        comparisons += _compared(key, [runs for runs in old if _valid(runs) >= FEWEST], new, least, in_turn)
    return found + decided(comparisons)


def _valid(runs: Sequence[Observed]) -> int:
    return sum(one.counts for one in runs)


def _too_few(old: Sequence[Sequence[Observed]], new: Sequence[Observed]) -> Finding | None:
    """Where the noise is not known."""
    key, now = (new or old[0])[0].run.key, _valid(new)
    if now < FEWEST:
        reason = f"{counted(now, 'valid trial')} now, of {FEWEST} that are needed"
        return Finding(key, RUNS, UNDECIDED, reason, trials=len(new) + FEWEST - now)
    whole = [runs for runs in old if _valid(runs) >= FEWEST]
    if len(old) == 1 and not whole:
        count = _valid(old[0])
        reason = f"{counted(count, 'valid trial')} in the baseline, of {FEWEST} that are needed"
        return Finding(key, RUNS, UNDECIDED, reason, trials=len(old[0]) + FEWEST - count)
    if len(old) > 1 and len(whole) < FEWEST:
        reason = f"{counted(len(whole), 'baseline')} with {FEWEST} valid trials, of {FEWEST} that are needed"
        return Finding(key, RUNS, UNDECIDED, reason)
    return None


def _not_made(old: Sequence[Observed], new: Sequence[Observed]) -> Finding | None:
    """Where there is nothing to compare."""
    key = old[0].run.key
    if all(o.run.status != Status.OK for o in old):
        return Finding(key, RUNS, UNDECIDED, f"the baseline's runs did not end well: {old[0].run.error}")
    failed = [o.run for o in new if o.run.status in (Status.FAILED, Status.REFUSED) and not o.run.failed_by_us]
    if failed and all(o.run.status == Status.OK for o in old):
        return Finding(key, RUNS, WORSE, f"{failed[0].status} now: {failed[0].error}")
    if not new:
        return Finding(key, RUNS, UNDECIDED, "it was not run now")
    return None


def _right(key: str, old: Sequence[Observed], new: Sequence[Observed]) -> Iterator[Finding]:
    """Requests that were right, the disturbed runs' too; without a reference those that were completed."""
    judged = [[o.judged for o in runs if o.judged] for runs in (old, new)]
    known = all(j.identical is not None for runs in judged for j in runs)
    metric = RIGHT if known else "completed"
    each = [[(j.identical or 0) if known else j.completed for j in runs] for runs in judged]
    totals = [sum(j.requests for j in runs) for runs in judged]
    if not all(totals):
        return
    right = [sum(counts) for counts in each]
    before, after = (count / total for count, total in zip(right, totals, strict=True))
    said = f"{right[1]} of {totals[1]} now, {right[0]} of {totals[0]} in the baseline"
    verdict, reason = SAME, said
    if before == 1 and after < 1:
        verdict, reason = WORSE, f"{said}: a wrong text is no noise"
    elif after != before and _unlikely(right, totals):
        verdict = WORSE if after < before else BETTER
    elif after < before:
        verdict, reason = UNDECIDED, f"{said}: so many may differ by chance"
    yield Finding(key, metric, verdict, reason, before, after)


def _unlikely(right: Sequence[int], totals: Sequence[int]) -> bool:
    """Fisher's exact test of two shares."""
    from scipy.stats import fisher_exact

    table = [[count, total - count] for count, total in zip(right, totals, strict=True)]
    return bool(fisher_exact(table).pvalue < LEVEL)


def _compared(
    key: str, old: Sequence[Sequence[Observed]], new: Sequence[Observed], least: float, in_turn: bool
) -> Iterator[Comparison]:
    mine, *theirs = ([(o.run.num, o.figures) for o in runs if o.counts and o.figures] for runs in (new, *old))
    timed = any(f.timed for _, f in mine)
    for metric, pick in metrics.compared(timed, checked=True):
        placed = [[(num, v) for num, f in runs if (v := pick(f)) is not None] for runs in (mine, *theirs)]
        now, *was = ([value for _, value in runs] for runs in placed)
        if in_turn:
            one = change.interleaved(key, metric.tag, placed[1], placed[0], least)
        elif len(was) == 1:
            one = change.compared(key, metric.tag, was[0], now, least)
        else:
            one = change.among(key, metric.tag, was, now, least)
        if one is not None:
            yield one
    for rate in metrics.compared_by_sample():
        if one := change.errors(key, rate.tag, [o for runs in old for o in runs], new, least):
            yield one
            break


def decided(comparisons: Sequence[Comparison]) -> list[Finding]:
    """All comparisons of one check, in their order."""
    order = sorted(range(len(comparisons)), key=lambda at: comparisons[at].loss.chance)
    levels: dict[int, float] = {}
    for rank, at in enumerate(order):
        level = LEVEL / (len(order) - rank)
        levels[at] = level
        if comparisons[at].loss.chance > level:  # of those that are less clear none is called either
            levels.update(dict.fromkeys(order[rank:], level))
            break
    return [_decided(one, levels[at]) for at, one in enumerate(comparisons)]


def _decided(one: Comparison, level: float) -> Finding:
    loss, noise = one.loss, one.loss.half(level)
    limit = max(noise, one.least / 2)
    trials = None
    if abs(loss.value) > limit:
        verdict = WORSE if loss.value > 0 else BETTER
        by = "noise" if noise >= one.least / 2 else "changes that do not matter"
        reason = f"past what is taken for {by}"
    elif loss.value + loss.half(2 * LEVEL) < one.least or not (loss.value or loss.error):
        verdict, reason = SAME, "a change for the worse that matters is excluded"
    else:
        verdict, trials = UNDECIDED, None if one.rate or one.sweeps > 1 else change.enough(one)
        what = "samples" if one.rate else "baselines" if one.sweeps > 1 else "trials"
        reason = f"the {what} vary too much to tell a change that matters from none"
    rise = loss.value if one.rate or BY_TAG[one.metric].better == LOWER else -loss.value
    half = loss.half(0.05)
    if one.rate:
        return Finding(
            one.key, one.metric, verdict, reason, one.before, one.after, None, (rise - half, rise + half), limit
        )
    side = math.exp(limit if BY_TAG[one.metric].better == LOWER else -limit)
    ci95 = (math.exp(rise - half), math.exp(rise + half))
    return Finding(one.key, one.metric, verdict, reason, one.before, one.after, math.exp(rise), ci95, side, trials)
