"""Thresholds applied to one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from capsexp.analysis import statistics

PASS, FAIL, INCONCLUSIVE, NOT_JUDGED = "PASS", "FAIL", "INCONCLUSIVE", "NOT_JUDGED"
FEASIBLE, NOT_FEASIBLE = "FEASIBLE", "NOT_FEASIBLE"

# name: (at most?, relative to the baseline?)
GATES = {
    "speedup": (False, True),
    "memory_growth": (True, True),
    "peak_memory_mb": (True, False),
    "correctness": (False, False),
    "wer": (True, False),
    "cer": (True, False),
    "latency_p95_s": (True, False),
    "efficiency": (False, True),
}


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
    }


def judge(
    configuration: dict[str, Any], thresholds: Mapping[str, float | None], is_baseline: bool, baseline_ok: bool
) -> list[dict[str, Any]]:
    """A verdict per gate that has a limit. `baseline_ok`: it ran, with one worker."""
    found = []
    for name, value in values(configuration).items():
        limit = thresholds.get(name)
        if limit is None:
            continue
        at_most, relative = GATES[name]
        verdict, reason = _verdict(name, value, limit, at_most)
        if relative and is_baseline:
            verdict, reason, value = NOT_JUDGED, "this is the baseline", None
        elif relative and not baseline_ok:
            verdict, reason, value = NOT_JUDGED, "no baseline with one worker completed", None
        if verdict in (PASS, FAIL) and name == "speedup":
            verdict, reason = _by_interval(configuration["speedup"], limit, verdict, reason)
        found.append({"name": name, "value": value, "limit": limit, "verdict": verdict, "reason": reason})
    return found


def _verdict(name: str, value: float | None, limit: float, at_most: bool) -> tuple[str, str | None]:
    if value is not None:
        return (PASS if (value <= limit if at_most else value >= limit) else FAIL), None
    if name == "speedup":
        return FAIL, "not all requests completed"
    return NOT_JUDGED, {
        "correctness": "no control to compare with",
        "wer": "no reference transcripts",
        "cer": "no reference transcripts",
        "latency_p95_s": "needs 130 requests",
    }.get(name, "not measured")


def _by_interval(speedup: dict[str, Any], limit: float, verdict: str, reason: str | None) -> tuple[str, str | None]:
    """A value whose interval holds the limit decides nothing."""
    if speedup["ci95"] is None:
        return verdict, reason
    low, high = speedup["ci95"]
    said = f"95 % interval {low:.2f} to {high:.2f}"
    if not low < limit < high:
        return verdict, said
    needed = statistics.trials_to_settle(speedup["trials"], limit)
    return (
        INCONCLUSIVE,
        f"{said} holds the limit; {f'trials={needed}' if needed else 'no number of trials'} would settle it",
    )


def verdict(gates: list[dict[str, Any]]) -> str:
    """Of a configuration, from its gates: correctness that was not judged leaves it open."""
    said = {gate["verdict"] for gate in gates}
    if FAIL in said:
        return NOT_FEASIBLE
    unknown = any(g["name"] == "correctness" and g["verdict"] == NOT_JUDGED for g in gates)
    return INCONCLUSIVE if unknown or INCONCLUSIVE in said else FEASIBLE
