"""Thresholds applied to a configuration: PASS, FAIL, NOT_JUDGED, or INCONCLUSIVE if an interval contains the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capsexp.analysis import statistics
from capsexp.analysis.metrics import BY_TAG, GATED
from capsexp.analysis.metrics.metric import Gate, Metric
from capsexp.analysis.sequential import DECIDES, FIRST_LOOK
from capsexp.counts import apart, counted
from capsexp.results.report import Configuration, Estimate, GateResult
from capsexp.results.verdicts import Reading, Verdict

FEWEST_PAIRS = 2  # of trials, before a comparison decides anything


def judge(
    configuration: Configuration,
    thresholds: Mapping[str, Any],
    unjudged: str | None,
    no_baseline: str | None,
    invalid: str | None = None,
    baseline_invalid: str | None = None,
    looks: bool = False,
    base: Configuration | None = None,
) -> tuple[GateResult, ...]:
    """Apply every limit that is set. `base`: what it is compared with; `unjudged`: why what more workers bring is not
    asked of this configuration; `no_baseline`: why there is nothing to compare with; `invalid`: why none of its runs
    counts; `looks`: it is asked after each trial (trials=auto), which goes on until there is an interval."""
    found = []
    for tag, metric in GATED.items():
        limit, gate = thresholds.get(tag), metric.gate or Gate()
        if limit is None:
            continue
        estimate = configuration.metric(tag)
        value: float | None = estimate.value
        verdict: Reading
        reason: str | None
        needed = _Needed()
        made = _made(configuration, looks)
        if gate.relative and base is not None:  # a pair needs a run of each, and what was disturbed counts, too
            made = max(made, _made(base, looks))
        if gate.relative and unjudged:
            verdict, reason, value = Reading.NOT_JUDGED, unjudged, None
        elif gate.relative and no_baseline:
            verdict, reason, value = Reading.NOT_JUDGED, _none(no_baseline), None
        elif gate.timed and (invalid or (gate.relative and baseline_invalid)):
            verdict, reason = Reading.NOT_JUDGED, invalid or f"the baseline: {baseline_invalid}"
        elif gate.relative and (open_ := _pairs(estimate, configuration, made, looks)):
            verdict, (reason, needed) = Reading.INCONCLUSIVE, open_
        elif value is None and tag == "correctness" and _completed(configuration) < limit:
            verdict, reason = Reading.FAIL, _lost(configuration)
        elif value is None:
            unfinished = tag == "speedup"
            verdict = Reading.FAIL if unfinished else Reading.NOT_JUDGED
            reason = "not all requests completed" if unfinished else gate.unknown
        else:
            verdict, reason, needed = compare(metric, limit, estimate, made, looks)
        found.append(
            GateResult(
                metric=tag, value=value, limit=limit, verdict=verdict, reason=reason,
                ci95=None if value is None else estimate.ci95, tier=_tier(metric, value, thresholds),
                trials=needed.trials, more=needed.more,
            )
        )  # fmt: skip
    total = configuration.requests.total
    if total and not configuration.requests.completed:
        why = f"none of {counted(total, 'request')} completed"
        found.append(GateResult(metric="completed", value=0, limit=1, verdict=Reading.FAIL, reason=why))
    return tuple(found)


def _completed(configuration: Configuration) -> float:
    """The most that correctness can be, without a reference: the share of requests that completed; 1 of none."""
    requests = configuration.requests
    return requests.completed / requests.total if requests.total else 1.0


def _lost(configuration: Configuration) -> str:
    total = configuration.requests.total
    return f"{total - configuration.requests.completed} of {counted(total, 'request')} failed, whatever texts are right"


def _none(why: str) -> str:
    return why if why.startswith("no baseline") else f"no baseline: {why}"


@dataclass(frozen=True)
class _Needed:
    """How many trials, or runs with trials=auto, would decide a limit, and how many of them are still to be made."""

    trials: int | None = None
    more: int | None = None


def _pairs(estimate: Estimate, configuration: Configuration, made: int, looks: bool) -> tuple[str, _Needed] | None:
    """Why a comparison decides nothing, as there are too few trials in which both were measured; and how many would
    do, `made` so far."""
    fewest = FIRST_LOOK if looks else FEWEST_PAIRS
    if estimate.of != "pairs" or estimate.n >= fewest or configuration.value("makespan_s") is None:
        return None
    enough = max(FEWEST_PAIRS + 1, made + fewest - estimate.n)
    what = f"{counted(estimate.n, 'pair')} of trials {'decides' if estimate.n == 1 else 'decide'} nothing"
    if not estimate.n:
        what = "no trial in which both it and its baseline were measured"
    return f"{what}; {_KEYS[looks]}={enough} would settle it", _Needed(enough, enough - made)


_KEYS = {False: "trials", True: "trials_max"}


def _made(configuration: Configuration, looks: bool) -> int:
    """How many there were of what its setting counts, those included that do not count: trials, and with trials=auto
    runs."""
    runs = configuration.validity.runs
    return len(runs) if looks else max((run.trial for run in runs), default=1)


def compare(
    metric: Metric, limit: float, estimate: Estimate, made: int = 0, looks: bool = False
) -> tuple[Reading, str | None, _Needed]:
    """Verdict, reason and, where that is open, how many trials would decide it, `made` so far. Decided only when the
    value and its whole interval lie on one side of the limit."""
    value, gate = estimate.value, metric.gate or Gate()
    assert value is not None

    def keeps(x: float) -> bool:
        return _keeps(metric, x, limit)

    verdict = Reading.PASS if keeps(value) else Reading.FAIL
    if gate.highest and estimate.n:
        of = f"the highest of {counted(estimate.n, 'trial')}" if estimate.n > 1 else "one trial"
        return verdict, f"{of}; more trials can only raise it", _Needed()
    pairs = f" from {counted(estimate.n, 'pair')}" if estimate.of == "pairs" and estimate.n else ""
    if estimate.ci95 is None:
        return verdict, f"{pairs.strip()} of trials" if pairs else None, _Needed()
    if looks and estimate.decides is None and estimate.of == "requests":
        return (
            Reading.INCONCLUSIVE,
            f"too few requests for a {100 * DECIDES:g} % interval; more of them would settle it",
            _Needed(),
        )
    low, high = estimate.decides or estimate.ci95
    level = DECIDES if estimate.decides else 0.95
    known = f"{100 * level:g} % interval {_short(low, limit)} to {_short(high, limit)}{pairs}"
    if keeps(low) == keeps(high) == keeps(value):
        return verdict, known, _Needed()
    if estimate.of in ("requests", "samples"):
        return Reading.INCONCLUSIVE, f"{known} contains the limit; more {estimate.of} would settle it", _Needed()
    values = estimate.values
    needed = statistics.trials_to_settle(values, limit, gate.logs, level) if values else None
    if needed is None:
        said = f"{known} contains the limit; no reasonable number of trials would settle it"
        return Reading.INCONCLUSIVE, said, _Needed()
    more = needed - len(values)
    enough = max(made, len(values)) + more  # some of those that were made may not count
    said = f"{known} contains the limit; {_KEYS[looks]}={enough} ({more} more) would settle it"
    return Reading.INCONCLUSIVE, said, _Needed(enough, more)


def _keeps(metric: Metric, value: float, limit: float) -> bool:
    return value <= limit if metric.at_most else value >= limit


def said(configuration: Configuration, verdict: Reading) -> list[str]:
    """The metrics whose gates came to this verdict."""
    return [gate.metric for gate in configuration.gates if gate.verdict == verdict]


def wants_trials(configuration: Configuration) -> bool:
    """Whether a configuration is open, and only because there is too little of what was measured of it."""
    late = any(one.verdict == Reading.INCONCLUSIVE for one in configuration.slo)
    open_ = configuration.incomplete or said(configuration, Reading.INCONCLUSIVE) or late
    return configuration.verdict == Verdict.INCONCLUSIVE and bool(open_) and not _unknown(configuration.gates)


def keeps_all(configuration: Configuration) -> bool:
    """Whether the values alone, without their intervals, keep within the limits, as far as they are known."""
    return all(g.value is None or _keeps(BY_TAG[g.metric], g.value, g.limit) for g in configuration.gates)


def _short(value: float, limit: float) -> str:
    """As short as tells it from the limit."""
    digits = 0 if abs(value) >= 100 else 3 if abs(value) < 0.1 else 2
    return f"{value:.{apart(value, limit, digits)}f}"


def _tier(metric: Metric, value: float | None, thresholds: Mapping[str, Any]) -> str | None:
    """The best tier that a value reaches."""
    tiers: Mapping[str, float] = (thresholds.get("tiers") or {}).get(metric.tag) or {}
    if value is None:
        return None
    return next((tier for tier, at in tiers.items() if _keeps(metric, value, at)), None)


def caveats(
    gates: Sequence[GateResult], thresholds: Mapping[str, Any], discarded: int, why: str = "disturbed"
) -> list[str]:
    """What to know about a configuration although it passes."""
    named = thresholds.get("caveats") or []
    found = [f"{g.metric} is only {g.tier}" for g in gates if g.verdict == Reading.PASS and g.tier in named]
    if discarded:
        found.append(f"{counted(discarded, 'run')} left out: {why}")
    return found


def verdict(
    gates: Sequence[GateResult], caveats: Sequence[str] = (), invalid: bool = False, baseline: bool = False
) -> Verdict:
    """Of a configuration, from its gates. A gate that needed a baseline or a reference it did not get leaves it open. A
    baseline that passes is just that: whether more workers are feasible is said of others."""
    verdicts = {gate.verdict for gate in gates}
    if Reading.FAIL in verdicts:
        return Verdict.NOT_FEASIBLE
    if invalid:
        return Verdict.INVALID
    if _unknown(gates) or Reading.INCONCLUSIVE in verdicts:
        return Verdict.INCONCLUSIVE
    if baseline:
        return Verdict.BASELINE
    return Verdict.CAVEATS if caveats else Verdict.FEASIBLE


def _unknown(gates: Sequence[GateResult]) -> bool:
    """Whether one could not be judged for want of a baseline or a reference."""
    return any(
        g.verdict == Reading.NOT_JUDGED and (g.metric == "correctness" or (g.reason or "").startswith("no baseline"))
        for g in gates
    )
