"""Verdicts: of a configuration from its gates, of a sweep from its configurations. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from capsexp.analysis import alike, gates, slo, validity
from capsexp.results.report import Capacity, Configuration
from capsexp.results.verdicts import SURE, Reading, Status, Verdict

replace = msgspec.structs.replace


def invalid(one: Configuration) -> str | None:
    """Why none of a configuration's runs counts; None when one does."""
    if one.validity.valid or not one.validity.invalid:
        return None
    codes = dict.fromkeys(reason.code for run in one.validity.runs for reason in run.reasons)
    return f"no valid run: {validity.kinds(codes)} ({', '.join(codes)})"


def judged(one: Configuration, base: Configuration, thresholds: Mapping[str, Any], looks: bool) -> Configuration:
    """The configuration with its gates, caveats and verdict. `looks`: it is asked after each trial."""
    if one.status != Status.OK:
        return one
    none = None if base.value("makespan_s") else f"{base.key} did not complete its requests"
    if one.no_baseline:
        none = one.no_baseline
    if one.unlike_baseline:
        none = f"{base.key} was measured with other {' and '.join(one.unlike_baseline)}"
    mine, theirs = invalid(one), invalid(base)
    unjudged = _unjudged(one, base)
    results = gates.judge(one, thresholds, unjudged, none, mine, theirs, looks, base)
    caveats = gates.caveats(results, thresholds, one.validity.invalid, validity.kinds(validity.codes([one])))
    if left_out := alike.said(one.left_out):
        caveats.append(left_out)
    is_baseline = one.key == base.key and one.no_baseline is None and one.fault.kind == "none"
    verdict = gates.verdict(results, caveats, bool(mine or theirs), is_baseline)
    kept = slo.verdict(one.slo)
    if kept == Reading.FAIL and verdict != Verdict.INVALID:
        verdict = Verdict.NOT_FEASIBLE
    elif kept == Reading.INCONCLUSIVE and verdict in SURE:
        verdict = Verdict.INCONCLUSIVE
    if not one.requests.completed and verdict not in (Verdict.NOT_FEASIBLE, Verdict.INVALID):
        verdict = Verdict.INCONCLUSIVE  # nothing is known of it
    if one.fault.kind != "none" and not one.fault.injected and verdict != Verdict.NOT_FEASIBLE:
        verdict = Verdict.INCONCLUSIVE  # it withstood nothing
    return replace(one, adds_workers=unjudged is None, gates=results, caveats=tuple(caveats), verdict=verdict)


def _unjudged(one: Configuration, base: Configuration) -> str | None:
    """Why what more workers bring is not asked of this configuration."""
    if one.fault.kind != "none":
        return "faults were injected"
    if one.no_baseline:
        return None  # it is asked, and cannot be answered
    if one.key == base.key:
        return "this is the baseline"
    if one.timed:
        return f"load={one.load} has a fixed duration, however fast the server is"
    if one.workers == base.workers or (one.workers or 2) <= (base.workers or 1):
        return "no more workers than the baseline"
    return None


def incomplete(found: Sequence[Configuration], planned: Sequence[str], missing: Sequence[str]) -> list[Configuration]:
    """With what is missing of each: `planned` and `missing` hold a key for each run. What passes so far, or is compared
    with a baseline of which runs are missing, is open."""
    said: dict[str, str] = {}
    for one in found:
        if one.status == Status.OK and (lost := missing.count(one.key)):
            total = planned.count(one.key)
            said[one.key] = f"{total - lost} of {total} planned runs were made"
    changed = []
    for one in found:
        passes = one.verdict in SURE
        open_ = passes and (one.key in said or one.baseline in said)
        verdict = Verdict.INCONCLUSIVE if open_ else one.verdict
        changed.append(replace(one, incomplete=said.get(one.key), verdict=verdict))
    return changed


def of_search(found: Sequence[Capacity], unfinished: bool) -> Verdict:
    """Of a search for a capacity: whether any configuration carries anything."""
    if unfinished or not found:
        return Verdict.INCONCLUSIVE
    if any(one.feasible_max for one in found):
        return Verdict.FEASIBLE
    return Verdict.NOT_FEASIBLE if all(one.infeasible_min for one in found) else Verdict.INCONCLUSIVE


def overall(found: Sequence[Configuration], unfinished: bool = False) -> Verdict:
    """Of a sweep: the best that any configuration other than a baseline comes to. What could not be decided weighs
    more than what was decided against, and a sweep of baselines only decides nothing, unless all of them fail
    themselves. Requests that were lost or wrong under injected faults turn FEASIBLE into FEASIBLE_WITH_CAVEATS. An
    `unfinished` sweep has decided nothing yet, and one whose runs all failed has measured nothing."""
    if unfinished or (found and all(c.status == Status.FAILED for c in found)):
        return Verdict.INCONCLUSIVE
    if found and all(c.verdict == Verdict.NOT_FEASIBLE for c in found):
        return Verdict.NOT_FEASIBLE
    fragile = any(c.fault.kind != "none" and c.verdict == Verdict.NOT_FEASIBLE for c in found)
    said = {c.verdict for c in found if c.adds_workers and not (c.dropped and c.dropped.by)}
    if not said and found and all(c.verdict == Verdict.INVALID for c in found):
        return Verdict.INVALID
    order = (Verdict.FEASIBLE, Verdict.CAVEATS, Verdict.INCONCLUSIVE, Verdict.INVALID, Verdict.NOT_FEASIBLE)
    best = next((verdict for verdict in order if verdict in said), None)
    if best is None:
        return Verdict.NOT_FEASIBLE if fragile else Verdict.INCONCLUSIVE
    return Verdict.CAVEATS if best == Verdict.FEASIBLE and fragile else best
