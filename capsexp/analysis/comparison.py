"""One configuration against another, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from capsexp.analysis import baseline, statistics

# Of each configuration's key: its counted trials' metrics.
Trials = Mapping[str, Mapping[int, dict[str, Any]]]


def evidence(values: Sequence[float], ci95: statistics.Interval | None, unit: str = "trials") -> dict[str, Any]:
    """What a gate's interval was made of. `unit`: what more of would narrow it."""
    return {"ci95": ci95, "values": list(values), "unit": unit}


def compare(one: dict[str, Any], base: dict[str, Any], trials: Trials, cpus: int) -> None:
    """Write speedup, efficiency, growth and marginal memory of `one` against `base`, with intervals over the trials
    that both have."""
    ratios = speedups(one["key"], base["key"], trials)
    if one["makespan_s"]["median"] and base["makespan_s"]["median"] and ratios:
        ci95 = statistics.interval(ratios)
        one["speedup"] = {"median": median(ratios), "ci95": ci95, "trials": ratios}
        one["intervals"]["speedup"] = evidence(ratios, ci95)
        more = min(one["workers"] * one["threads"], cpus) / min(base["workers"] * base["threads"], cpus)
        one["efficiency"] = one["speedup"]["median"] / more
        each = [ratio / more for ratio in ratios]
        one["intervals"]["efficiency"] = evidence(each, statistics.interval(each))
    memory, mine, theirs = one["memory"], one["memory"]["steady_peak_mb"], base["memory"]["steady_peak_mb"]
    if mine is None or not theirs:
        return
    steady = [_steady(trials[key]) for key in (one["key"], base["key"])]
    memory["growth"] = mine / theirs
    grown = statistics.ratios(*steady)
    one["intervals"]["memory_growth"] = evidence(grown, statistics.interval(grown))
    more_workers = (one["workers"] or 0) - (base["workers"] or 0)
    if more_workers > 0:
        memory["marginal_mb"] = (mine - theirs) / more_workers
        shared = sorted(steady[0].keys() & steady[1].keys())
        each = [(steady[0][trial] - steady[1][trial]) / more_workers for trial in shared]
        one["intervals"]["marginal_memory_mb"] = evidence(each, statistics.interval_of_mean(each))


def speedups(key: str, base: str, trials: Trials) -> list[float]:
    """Makespan of the baseline / makespan, within each trial; per second of audio, as with hours= it is the time that
    is given."""
    return statistics.ratios(_makespans(trials[base]), _makespans(trials[key]))


def _makespans(trials: Mapping[int, dict[str, Any]]) -> dict[int, float]:
    return {trial: m["makespan_s"] / (m.get("audio_s") or 1.0) for trial, m in trials.items() if m["makespan_s"]}


def _steady(trials: Mapping[int, dict[str, Any]]) -> dict[int, float]:
    return {trial: m["memory"]["steady_peak_mb"] for trial, m in trials.items() if m["memory"]["steady_peak_mb"]}


def equal_core(found: list[dict[str, Any]], configs: Mapping[str, dict[str, Any]], trials: Trials) -> None:
    """Write `equal_core` of each configuration with more than one worker, and mark the rows compared with."""
    wide = {key: baseline.group_key(config, "threads") for key, config in configs.items()}
    for one in found:
        if (one["workers"] or 1) == 1 or one["throughput_xrt"] is None or one["fault"]["kind"] != "none":
            continue
        singles = [c for c in found if c["workers"] == 1 and wide.get(c["key"]) == wide[one["key"]]]
        best, why = baseline.equal_core(one, singles)
        ratios = speedups(one["key"], best["key"], trials) if best else []
        one["equal_core"] = {
            "baseline": best["key"] if best else None,
            "speedup": {"median": median(ratios) if ratios else None, "ci95": statistics.interval(ratios)},
            "reason": why,
        }
        if best is not None and best["key"] != one["baseline"]:
            best["role"] = "equal-core baseline"
