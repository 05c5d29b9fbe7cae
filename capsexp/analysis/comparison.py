"""One configuration against another, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from capsexp.analysis import baseline, statistics

# Of each configuration's key: its counted trials' metrics.
Trials = Mapping[str, Mapping[int, dict[str, Any]]]


def evidence(
    values: Sequence[float], ci95: statistics.Interval | None, unit: str = "trials", pairs: int | None = None
) -> dict[str, Any]:
    """What a gate's interval was made of. `unit`: what more of would narrow it. `pairs`: trials that two
    configurations have both, where the figure compares them."""
    return {"ci95": ci95, "values": list(values), "unit": unit, "pairs": pairs}


def paired(values: Sequence[float], ci95: statistics.Interval | None) -> dict[str, Any]:
    """Of a comparison: a value for each pair of trials."""
    return evidence(values, ci95, pairs=len(values))


def compare(one: dict[str, Any], base: dict[str, Any], trials: Trials, cpus: int) -> None:
    """Write speedup, efficiency, growth and marginal memory of `one` against `base`, each the median over the trials
    that both have, with its interval and the number of these pairs."""
    ratios = speedups(one["key"], base["key"], trials)
    one["speedup"]["n"] = len(ratios)
    one["intervals"] |= {"speedup": paired(ratios, statistics.interval(ratios)), "efficiency": paired([], None)}
    if one["makespan_s"]["median"] and base["makespan_s"]["median"] and ratios:
        one["speedup"] |= {"median": median(ratios), "ci95": statistics.interval(ratios), "trials": ratios}
        if one["workers"] and base["workers"]:
            more = min(one["workers"] * one["threads"], cpus) / min(base["workers"] * base["threads"], cpus)
            one["efficiency"] = one["speedup"]["median"] / more
            each = [ratio / more for ratio in ratios]
            one["intervals"]["efficiency"] = paired(each, statistics.interval(each))
    memory, steady = one["memory"], [_steady(trials[key]) for key in (one["key"], base["key"])]
    grown = statistics.ratios(*steady)
    memory["growth"] = median(grown) if grown else None
    one["intervals"]["memory_growth"] = paired(grown, statistics.interval(grown))
    more_workers = (one["workers"] or 0) - (base["workers"] or 0)
    if more_workers > 0:
        shared = sorted(steady[0].keys() & steady[1].keys())
        each = [(steady[0][trial] - steady[1][trial]) / more_workers for trial in shared]
        memory["marginal_mb"] = median(each) if each else None
        one["intervals"]["marginal_memory_mb"] = paired(each, statistics.interval_of_mean(each))


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
            "speedup": {
                "median": median(ratios) if ratios else None, "ci95": statistics.interval(ratios), "n": len(ratios),
            },
            "reason": why,
        }  # fmt: skip
        if best is not None and best["key"] != one["baseline"]:
            best["role"] = "equal-core baseline"
