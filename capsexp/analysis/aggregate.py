"""Runs -> configurations: one row each, compared with its baselines and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from capsexp.analysis import alike, baseline, comparison, gates, gpu, statistics, validity
from capsexp.analysis import faults as fault_effects
from capsexp.analysis.comparison import evidence
from capsexp.analysis.metrics import spread

_SPREADS = ("turnaround_s", "latency_s", "queue_wait_s", "compute_s")
_MEMORY = ("peak_mb", "load_peak_mb", "steady_peak_mb", "rss_peak_mb")
_NO_LEAK: dict[str, Any] = {"mb_per_h": None, "ci95": None, "roles": {}, "steady_s": None}

Disturbances = Sequence[Sequence[Mapping[str, str]]]


def empty(key: str, status: str, why: str) -> dict[str, Any]:
    """A configuration of which nothing is known but why."""
    return {
        "key": key, "baseline": None, "role": None, "workers": None, "workers_requested": None, "threads": None,
        "pool": None, "engine": None, "dispatch": None, "status": status, "errors": [why], "trials": 0,
        "validity": {"valid": 0, "invalid": 0, "runs": []},
        "makespan_s": {"median": None, "ci95": None}, "throughput_xrt": None, "throughput_ci95": None,
        "speedup": {"median": None, "ci95": None, "n": 0}, "efficiency": None, "server_efficiency": None,
        "equal_core": None,
        "memory": {"metric": None, **dict.fromkeys(_MEMORY), "growth": None, "marginal_mb": None},
        "cpu": {"front_s": None, "workers_s": None, "client_s": None, "monitor_s": None, "utilisation": None},
        **{name: spread([]) for name in _SPREADS},
        "timeline": None, "leak": dict(_NO_LEAK), "gpu": None,
        "correctness": {
            "requests": 0, "completed": 0, "identical": None, "ratio": None, "wer": None, "cer": None,
            "wer_ci95": None, "cer_ci95": None, "unlike": None,
        },
        "fault": fault_effects.summary("none", []),
        "left_out": [], "failure": None, "unlike_baseline": [],
        "adds_workers": True, "wrong": [], "wrong_count": 0, "intervals": {}, "gates": [], "caveats": [],
        "incomplete": None,
        "verdict": gates.NOT_FEASIBLE if status in ("failed", "refused") else gates.INCONCLUSIVE,
    }  # fmt: skip


def configurations(
    runs: Sequence[dict[str, Any]],
    judged: Sequence[dict[str, Any] | None],
    controls: Mapping[str, dict[str, Any]],
    thresholds: Mapping[str, Any],
    disturbed: Disturbances | None = None,
    effects: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Runs of one key are trials of one configuration. `judged[i]` is the correctness of `runs[i]`,
    `disturbed[i]` the reasons why its figures are not the server's own (none: it is VALID), `effects[i]` what injected
    faults did to it. A run that failed for a reason of the harness is a trial that is missing; those that measured
    something else than the others (see `alike`) are left out."""
    disturbed = disturbed or [[]] * len(runs)
    found: list[dict[str, Any]] = []
    groups, trials, configs, made_with = [], {}, {}, {}
    for key in dict.fromkeys(run["key"] for run in runs):
        every = [i for i, run in enumerate(runs) if run["key"] == key]
        own = [i for i in every if not alike.is_harness(runs[i])]
        same, left_out = alike.choose([runs[i] for i in own])
        counted = _counted(disturbed, [own[at] for at in same])
        first = runs[(counted or every)[0]]
        trials[key] = {runs[i]["trial"]: runs[i]["metrics"] for i in counted}
        one = _configuration(first, [runs[i] for i in every], [runs[i] for i in counted], trials[key], controls)
        one["left_out"] = left_out
        out = {(left["trial"], left["num"]) for left in left_out}
        kept = [i for i in every if (runs[i]["trial"], runs[i].get("num")) not in out]
        one["validity"] = _validity([runs[i] for i in kept], [disturbed[i] for i in kept])
        one["fault"] = fault_effects.summary(_fault(first), [effects[i] for i in own] if effects else [])
        _correctness(one, [j for i in own if (j := judged[i])])
        found.append(one)
        configs[key], made_with[key] = first["config"], first.get("fingerprint")
        groups.append(
            {
                "key": key,
                "workers": first["workers"],
                "pool": first["pool"],
                "group": baseline.group_key(first["config"]),
            }
        )
    bases, by_key = baseline.find(groups), {c["key"]: c for c in found}
    cpus = {run["key"]: run["cpu_count"] for run in runs}
    for one in found:
        base = by_key[bases[one["key"]]]
        one["baseline"] = base["key"]
        one["unlike_baseline"] = alike.unlike(made_with[one["key"]], made_with[base["key"]])
        if base is one:
            one["role"] = "baseline"
        else:
            comparison.compare(one, base, trials, cpus[one["key"]])
    comparison.equal_core(found, configs, trials)
    fault_effects.compare(found, baseline.without_fault(groups, configs))
    for one in found:
        if one["status"] == "ok":
            _judge(one, by_key[one["baseline"]], thresholds)
    return found


def _counted(disturbed: Disturbances, known: list[int]) -> list[int]:
    """The runs that figures are made of: the valid ones, or, as there is nothing better to show, all."""
    return [i for i in known if not disturbed[i]] or known


def _fault(run: Mapping[str, Any]) -> str:
    return str(run["config"].get("fault", {}).get("name", "none"))


def _validity(runs: list[dict[str, Any]], disturbed: Disturbances) -> dict[str, Any]:
    said = [
        {"num": run.get("num"), "trial": run["trial"], "valid": not why, "reasons": [dict(r) for r in why]}
        for run, reasons in zip(runs, disturbed, strict=True) if run["metrics"] or alike.is_harness(run)
        for why in [[{"code": validity.HARNESS, "reason": run["error"] or ""}] if alike.is_harness(run) else reasons]
    ]  # fmt: skip
    valid = sum(one["valid"] for one in said)
    return {"valid": valid, "invalid": len(said) - valid, "runs": said}


def invalid(one: dict[str, Any]) -> str | None:
    """Why none of a configuration's runs counts; None when one does."""
    validity = one["validity"]
    if validity["valid"] or not validity["invalid"]:
        return None
    codes = dict.fromkeys(reason["code"] for run in validity["runs"] for reason in run["reasons"])
    return f"no valid run ({', '.join(codes)})"


def _judge(one: dict[str, Any], base: dict[str, Any], thresholds: Mapping[str, Any]) -> None:
    none = None
    if base["workers"] not in (1, None):
        none = f"workers=1 was not measured, the fewest were {base['workers']}"
    elif not base["makespan_s"]["median"]:
        none = f"{base['key']} did not complete its requests"
    if unlike := one["unlike_baseline"]:
        none = f"{base['key']} was made with other {' and '.join(unlike)}"
    mine, theirs = invalid(one), invalid(base)
    unjudged = _unjudged(one, base)
    one["adds_workers"] = unjudged is None
    one["gates"] = gates.judge(one, thresholds, unjudged, none, mine, theirs)
    one["caveats"] = gates.caveats(
        one["gates"], thresholds, one["validity"]["invalid"], validity.kinds(validity.codes([one]))
    )
    if left_out := alike.said(one["left_out"]):
        one["caveats"].append(left_out)
    is_baseline = one is base and one["fault"]["kind"] == "none"
    one["verdict"] = gates.verdict(one["gates"], one["caveats"], bool(mine or theirs), is_baseline)
    if not one["correctness"]["completed"] and one["verdict"] not in (gates.NOT_FEASIBLE, gates.INVALID):
        one["verdict"] = gates.INCONCLUSIVE  # nothing is known of it
    if one["fault"]["kind"] != "none" and not one["fault"]["injected"] and one["verdict"] != gates.NOT_FEASIBLE:
        one["verdict"] = gates.INCONCLUSIVE  # it withstood nothing


def incomplete(found: list[dict[str, Any]], planned: Sequence[str], missing: Sequence[str]) -> None:
    """Say so of each configuration of which runs are missing: `planned` and `missing` hold a key for each run. What
    passes so far, or is compared with a baseline of which runs are missing, is open."""
    for one in found:
        if one["status"] == "ok" and (lost := missing.count(one["key"])):
            total = planned.count(one["key"])
            one["incomplete"] = f"{total - lost} of {total} runs were made"
    by_key = {c["key"]: c for c in found}
    for one in found:
        base = by_key.get(one["baseline"], one)
        passes = one["verdict"] in (gates.FEASIBLE, gates.CAVEATS, gates.BASELINE)
        if passes and (one["incomplete"] or base["incomplete"]):
            one["verdict"] = gates.INCONCLUSIVE


def _unjudged(one: dict[str, Any], base: dict[str, Any]) -> str | None:
    """Why what more workers bring is not asked of this configuration."""
    if one["fault"]["kind"] != "none":
        return "faults were injected"
    if one is base:
        return "this is the baseline"
    if one["workers"] == base["workers"] or (one["workers"] or 2) <= (base["workers"] or 1):
        return "no more workers than the baseline"
    return None


def _configuration(
    first: dict[str, Any],
    runs: list[dict[str, Any]],
    counted: list[dict[str, Any]],
    trials: Mapping[int, dict[str, Any]],
    controls: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    mine = [run for run in runs if not alike.is_harness(run)]
    status = next((run["status"] for run in mine or runs if run["status"] != "ok"), "ok")
    one = empty(first["key"], status, "")
    one["errors"] = [run["error"] for run in mine or runs if run["error"]]
    if not mine:
        one |= {"failure": "harness", "verdict": gates.INCONCLUSIVE}
    for name in ("workers", "workers_requested", "threads", "pool", "engine", "dispatch"):
        one[name] = first[name]
    known = list(trials.values())
    one["trials"] = len(known)
    if not known:
        return one
    whole = [m for m in known if m["makespan_s"] is not None]
    if len(whole) == len(known):
        one["makespan_s"]["median"] = median(m["makespan_s"] for m in whole)
        one["makespan_s"]["ci95"] = statistics.interval([m["makespan_s"] for m in whole])
        one["throughput_xrt"] = median(m["throughput_xrt"] for m in whole)
        one["throughput_ci95"] = statistics.interval([m["throughput_xrt"] for m in whole])
        one["server_efficiency"] = _server_efficiency(one, controls.get(first["control"] or ""))
    for name in _MEMORY:
        one["memory"][name] = _most(m["memory"][name] for m in known)
    one["memory"]["metric"] = known[0]["memory"]["metric"]
    one["cpu"] = {name: _median(m["cpu"][name] for m in known) for name in one["cpu"]}
    typical = sorted(known, key=lambda m: m["makespan_s"] or float("inf"))[(len(known) - 1) // 2]
    for name in _SPREADS:
        one[name] = spread(value for run in counted for value in run.get("durations", {}).get(name, ()))
    one["timeline"] = next((run.get("timeline") for run in counted if run["metrics"] is typical), None)
    one["gpu"] = gpu.typical([run.get("gpu") for run in counted])
    leaks = [run["leak"] for run in counted if run.get("leak")]
    one["leak"] = max(leaks, key=lambda leak: (leak["mb_per_h"] is not None, leak["steady_s"] or 0.0), default=_NO_LEAK)
    peaks = [m["memory"]["peak_mb"] for m in known if m["memory"]["peak_mb"]]
    waits = [value for run in counted for value in run.get("durations", {}).get("latency_s", ())]
    one["intervals"] = {
        "peak_memory_mb": evidence(peaks, None),  # a maximum: what is seen is its least
        "latency_p95_s": evidence([], statistics.quantile_interval(waits, 0.95), "requests"),
        "leak_mb_per_h": evidence([], one["leak"]["ci95"]),
    }
    return one


def _correctness(one: dict[str, Any], judged: list[dict[str, Any]]) -> None:
    """Summed over all trials, those with disturbed times too: one wrong request of any of them counts."""
    requests = sum(j["requests"] for j in judged)
    known = [j["identical"] for j in judged if j["identical"] is not None]
    identical = sum(known) if judged and len(known) == len(judged) else None
    one["correctness"] |= {
        "requests": requests,
        "completed": sum(j["completed"] for j in judged),
        "identical": identical,
        "ratio": identical / requests if identical is not None and requests else None,
        "unlike": kinds.pop() if len(kinds := {j.get("unlike") for j in judged}) == 1 else None,
    }
    for name in ("wer", "cer"):
        counts: dict[str, list[int]] = {}
        for sample, (errors, words) in ((s, e[name]) for j in judged for s, e in j.get("errors", {}).items()):
            so_far = counts.setdefault(sample, [0, 0])
            counts[sample] = [so_far[0] + errors, so_far[1] + words]
        # A trial repeats the same samples: what is counted is a sample's average over trials.
        each = [(errors / len(judged), words / len(judged)) for errors, words in counts.values()]
        ci95, total = statistics.rate(each), sum(words for _, words in counts.values())
        said = sum(errors for errors, _ in counts.values()) / max(1, total)
        rate = said if counts else _median(j[name] for j in judged)
        one["correctness"] |= {name: rate, f"{name}_ci95": ci95}
        one["intervals"][name] = evidence([], ci95, "samples")
    one["wrong"] = [w for j in judged for w in j["wrong"]]  # the first of each run
    one["wrong_count"] = sum(j.get("wrong_count", len(j["wrong"])) for j in judged)


def _server_efficiency(one: dict[str, Any], control: dict[str, Any] | None) -> float | None:
    for run in control["runs"] if control else []:
        if run["processes"] == one["workers"]:
            return float(one["throughput_xrt"] / run["throughput_xrt"])
    return None


def _most(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return median(known) if known else None


def overall(found: list[dict[str, Any]], unfinished: bool = False) -> str:
    """Of a sweep: the best that any configuration other than a baseline comes to. What could not be decided weighs
    more than what was decided against, and a sweep of baselines only decides nothing. What requests were lost or wrong
    under injected faults limits it. An `unfinished` sweep has decided nothing yet, and one
    whose runs all failed has measured nothing."""
    if unfinished or (found and all(c["status"] == "failed" for c in found)):
        return gates.INCONCLUSIVE
    fragile = any(c["fault"]["kind"] != "none" and c["verdict"] == gates.NOT_FEASIBLE for c in found)
    said = {c["verdict"] for c in found if c["adds_workers"]}
    if not said and found and all(c["verdict"] == gates.INVALID for c in found):
        return gates.INVALID
    order = (gates.FEASIBLE, gates.CAVEATS, gates.INCONCLUSIVE, gates.INVALID, gates.NOT_FEASIBLE)
    best = next((verdict for verdict in order if verdict in said), None)
    if best is None:
        return gates.NOT_FEASIBLE if fragile else gates.INCONCLUSIVE
    return gates.CAVEATS if best == gates.FEASIBLE and fragile else best
