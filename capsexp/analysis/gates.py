"""Thresholds applied to a configuration: PASS, FAIL, NOT_JUDGED, or INCONCLUSIVE where an interval holds the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capsexp.analysis import statistics
from capsexp.counts import counted

PASS, FAIL, INCONCLUSIVE, NOT_JUDGED = "PASS", "FAIL", "INCONCLUSIVE", "NOT_JUDGED"
FEASIBLE, CAVEATS, NOT_FEASIBLE = "FEASIBLE", "FEASIBLE_WITH_CAVEATS", "NOT_FEASIBLE"
INVALID = "INVALID"
BASELINE = "BASELINE"  # what others are compared with: right and within its memory, and asked for no speedup
SURE = (FEASIBLE, CAVEATS, BASELINE)  # of these one may be recommended


@dataclass(frozen=True)
class Gate:
    """`relative`: needs a baseline. `timed`: a disturbed run says nothing about it, but a wrong text stays wrong.
    `highest`: a maximum over trials, of which one over the limit decides."""

    at_most: bool = True
    relative: bool = False
    timed: bool = True
    unknown: str = "not measured"
    logs: bool = True
    highest: bool = False


GATES = {
    "speedup": Gate(at_most=False, relative=True),
    "memory_growth": Gate(relative=True),
    "peak_memory_mb": Gate(highest=True),
    "correctness": Gate(at_most=False, timed=False, unknown="no control to compare with"),
    "wer": Gate(timed=False, unknown="no reference transcripts"),
    "cer": Gate(timed=False, unknown="no reference transcripts"),
    "latency_p95_s": Gate(unknown="needs 130 requests"),
    "efficiency": Gate(at_most=False, relative=True),
    "leak_mb_per_h": Gate(unknown="no run was long enough (report.leak_min_s)", logs=False),
    "marginal_memory_mb": Gate(relative=True, logs=False),
    "completed": Gate(at_most=False, timed=False),
}
FEWEST_PAIRS = 2  # of trials, before a comparison decides anything


def values(configuration: dict[str, Any]) -> dict[str, float | None]:
    """The value each gate looks at."""
    c = configuration
    return {
        "speedup": c["speedup"]["median"],
        "memory_growth": c["memory"]["growth"],
        "peak_memory_mb": c["memory"]["peak_mb"],
        "correctness": c["correctness"]["ratio"],
        "wer": c["correctness"]["wer"],
        "cer": c["correctness"]["cer"],
        "latency_p95_s": c["latency_s"]["p95"],
        "efficiency": c["efficiency"],
        "leak_mb_per_h": c["leak"]["mb_per_h"],
        "marginal_memory_mb": c["memory"]["marginal_mb"],
    }


def judge(
    configuration: dict[str, Any],
    thresholds: Mapping[str, Any],
    unjudged: str | None,
    no_baseline: str | None,
    invalid: str | None = None,
    baseline_invalid: str | None = None,
) -> list[dict[str, Any]]:
    """A verdict per gate that has a limit. `unjudged`: why relative gates do not apply; `no_baseline`: why there is
    nothing to compare with; `invalid`: why no run of the configuration counts, `baseline_invalid`: of its baseline."""
    found = []
    for name, value in values(configuration).items():
        limit, gate = thresholds.get(name), GATES[name]
        if limit is None:
            continue
        evidence = configuration["intervals"].get(name)
        reason: str | None
        enough: int | None = None
        if gate.relative and unjudged:
            verdict, reason, value = NOT_JUDGED, unjudged, None
        elif gate.relative and no_baseline:
            verdict, reason, value = NOT_JUDGED, f"no baseline: {no_baseline}", None
        elif gate.timed and (invalid or (gate.relative and baseline_invalid)):
            verdict, reason = NOT_JUDGED, invalid or f"the baseline: {baseline_invalid}"
        elif gate.relative and (open_ := _pairs(evidence, configuration)):
            verdict, (reason, enough) = INCONCLUSIVE, open_
        elif value is None:
            unfinished = name == "speedup"
            verdict = FAIL if unfinished else NOT_JUDGED
            reason = "not all requests completed" if unfinished else gate.unknown
        else:
            verdict, reason, enough = compare(gate, value, limit, evidence, _trials(configuration))
        found.append(
            {
                "name": name, "value": value, "limit": limit, "verdict": verdict, "reason": reason,
                "ci95": evidence["ci95"] if evidence and value is not None else None,
                "tier": _tier(name, value, thresholds), "trials": enough,
            }
        )  # fmt: skip
    requests, completed = (configuration["correctness"][name] for name in ("requests", "completed"))
    if requests and not completed:
        found.append(
            {
                "name": "completed", "value": 0, "limit": 1, "verdict": FAIL, "ci95": None, "tier": None,
                "trials": None, "reason": f"none of {counted(requests, 'request')} completed",
            }
        )  # fmt: skip
    return found


def _pairs(evidence: Mapping[str, Any] | None, configuration: Mapping[str, Any]) -> tuple[str, int] | None:
    """Why a comparison decides nothing, as there are too few trials in which both were measured; and how many trials
    would do."""
    pairs = evidence.get("pairs") if evidence else None
    if pairs is None or pairs >= FEWEST_PAIRS or configuration["makespan_s"]["median"] is None:
        return None
    enough = max(FEWEST_PAIRS + 1, _trials(configuration) + FEWEST_PAIRS - pairs)
    what = "1 pair of trials decides nothing" if pairs else "no trial in which both it and its baseline were measured"
    return f"{what}; trials={enough} would settle it", enough


def _trials(configuration: Mapping[str, Any]) -> int:
    """How many there were, those included that do not count."""
    return max((int(run["trial"]) for run in configuration["validity"]["runs"]), default=1)


def compare(
    gate: Gate, value: float, limit: float, evidence: dict[str, Any] | None, made: int = 0
) -> tuple[str, str | None, int | None]:
    """Verdict, reason and, where that is open, how many trials would decide it, `made` so far. Decided only when the
    value and its whole interval lie on one side of the limit."""

    def keeps(x: float) -> bool:
        return _keeps(gate, x, limit)

    verdict = PASS if keeps(value) else FAIL
    if gate.highest and evidence is not None and evidence["values"]:
        count = len(evidence["values"])
        of = f"the highest of {counted(count, 'trial')}" if count > 1 else "one trial"
        return verdict, f"{of}; more trials can only raise it", None
    pairs = evidence.get("pairs") if evidence else None
    if evidence is None or evidence["ci95"] is None:
        return verdict, f"from {counted(pairs, 'pair')} of trials" if pairs else None, None
    low, high = evidence["ci95"]
    said = f"95 % interval {_short(low)} to {_short(high)}"
    if pairs:
        said += f" from {counted(pairs, 'pair')}"
    if keeps(low) == keeps(high) == keeps(value):
        return verdict, said, None
    if evidence["unit"] != "trials":
        return INCONCLUSIVE, f"{said} holds the limit; more {evidence['unit']} would settle it", None
    trials: Sequence[float] = evidence["values"]
    needed = statistics.trials_to_settle(trials, limit, gate.logs) if trials else None
    if needed is None:
        return INCONCLUSIVE, f"{said} holds the limit; no reasonable number of trials would settle it", None
    more = needed - len(trials)
    enough = max(made, len(trials)) + more  # some of those that were made may not count
    return INCONCLUSIVE, f"{said} holds the limit; trials={enough} ({more} more) would settle it", enough


def _keeps(gate: Gate, value: float, limit: float) -> bool:
    return value <= limit if gate.at_most else value >= limit


def keeps_all(configuration: dict[str, Any]) -> bool:
    """Whether the values alone, without their intervals, keep within the limits, as far as they are known."""
    return all(g["value"] is None or _keeps(GATES[g["name"]], g["value"], g["limit"]) for g in configuration["gates"])


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _tier(name: str, value: float | None, thresholds: Mapping[str, Any]) -> str | None:
    """The best tier that a value reaches."""
    tiers: Mapping[str, float] = (thresholds.get("tiers") or {}).get(name) or {}
    if value is None:
        return None
    at_most = GATES[name].at_most
    return next((tier for tier, at in tiers.items() if (value <= at if at_most else value >= at)), None)


def caveats(
    gates: list[dict[str, Any]], thresholds: Mapping[str, Any], discarded: int, why: str = "disturbed"
) -> list[str]:
    """What to know about a configuration although it passes."""
    named = thresholds.get("caveats") or []
    found = [f"{g['name']} is only {g['tier']}" for g in gates if g["verdict"] == PASS and g["tier"] in named]
    if discarded:
        found.append(f"{counted(discarded, 'run')} left out: {why}")
    return found


def verdict(
    gates: list[dict[str, Any]], caveats: Sequence[str] = (), invalid: bool = False, baseline: bool = False
) -> str:
    """Of a configuration, from its gates. A gate that needed a baseline or a control it did not get leaves it open. A
    baseline that passes is just that: whether more workers are feasible is said of others."""
    said = {gate["verdict"] for gate in gates}
    if FAIL in said:
        return NOT_FEASIBLE
    if invalid:
        return INVALID
    unknown = any(
        g["verdict"] == NOT_JUDGED and (g["name"] == "correctness" or (g.get("reason") or "").startswith("no baseline"))
        for g in gates
    )
    if unknown or INCONCLUSIVE in said:
        return INCONCLUSIVE
    if baseline:
        return BASELINE
    return CAVEATS if caveats else FEASIBLE
