"""Runs -> configurations: one row each, compared with its baseline, judged, and one of them recommended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from capsexp.analysis import baseline, gates, statistics

_SPREADS = ("turnaround_s", "latency_s", "queue_wait_s", "compute_s")
_MEMORY = ("peak_mb", "load_peak_mb", "steady_peak_mb", "rss_peak_mb")
_NO_SPREAD = {"p50": None, "p90": None, "p95": None, "p99": None, "max": None, "n": 0}


def empty(key: str, status: str, why: str) -> dict[str, Any]:
    """A configuration of which nothing is known but why."""
    return {
        "key": key, "baseline": None, "workers": None, "workers_requested": None, "threads": None, "pool": None,
        "engine": None, "dispatch": None, "status": status, "errors": [why], "trials": 0,
        "makespan_s": {"median": None, "ci95": None}, "throughput_xrt": None, "speedup": {"median": None, "ci95": None},
        "efficiency": None, "server_efficiency": None,
        "memory": {"metric": None, **dict.fromkeys(_MEMORY), "growth": None},
        "cpu": {"front_s": None, "workers_s": None, "client_s": None, "monitor_s": None, "utilisation": None},
        **{name: dict(_NO_SPREAD) for name in _SPREADS},
        "correctness": {"requests": 0, "completed": 0, "identical": None, "ratio": None, "wer": None, "cer": None},
        "wrong": [], "gates": [],
        "verdict": gates.NOT_FEASIBLE if status in ("failed", "refused") else gates.INCONCLUSIVE,
    }  # fmt: skip


def configurations(
    runs: list[dict[str, Any]],
    judged: list[dict[str, Any] | None],
    controls: Mapping[str, dict[str, Any]],
    thresholds: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """Runs of one key are trials of one configuration; `judged[i]` is the correctness of `runs[i]`."""
    keys = list(dict.fromkeys(run["key"] for run in runs))
    found = []
    groups = []
    makespans: dict[str, dict[int, float]] = {}
    for key in keys:
        trials = [(run, judged[i]) for i, run in enumerate(runs) if run["key"] == key]
        found.append(_configuration(key, [t[0] for t in trials], [t[1] for t in trials], controls))
        first = trials[0][0]
        known = [run for run, _ in trials if run["metrics"] and run["metrics"]["makespan_s"]]
        makespans[key] = {run["trial"]: run["metrics"]["makespan_s"] for run in known}
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
        if base is not one:
            _compare(one, base, cpus[one["key"]], statistics.ratios(makespans[base["key"]], makespans[one["key"]]))
        ok = base["workers"] == 1 and base["makespan_s"]["median"] is not None
        if one["status"] == "ok":
            one["gates"] = gates.judge(one, thresholds, base is one, ok)
            one["verdict"] = gates.verdict(one["gates"])
    return found


def _configuration(
    key: str, runs: list[dict[str, Any]], judged: list[dict[str, Any] | None], controls: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    first = runs[0]
    status = next((run["status"] for run in runs if run["status"] != "ok"), "ok")
    one = empty(key, status, "")
    one["errors"] = [run["error"] for run in runs if run["error"]]
    for name in ("workers", "workers_requested", "threads", "pool", "engine", "dispatch"):
        one[name] = first[name]
    known = [run["metrics"] for run in runs if run["metrics"]]
    one["trials"] = len(known)
    one["correctness"], one["wrong"] = _correctness([j for j in judged if j])
    if not known:
        return one
    whole = [m for m in known if m["makespan_s"] is not None]
    if len(whole) == len(known):
        one["makespan_s"]["median"] = median(m["makespan_s"] for m in whole)
        one["makespan_s"]["ci95"] = statistics.interval([m["makespan_s"] for m in whole])
        one["throughput_xrt"] = median(m["throughput_xrt"] for m in whole)
        one["server_efficiency"] = _server_efficiency(one, controls.get(first["control"] or ""))
    for name in _MEMORY:
        one["memory"][name] = _most(m["memory"][name] for m in known)
    one["memory"]["metric"] = known[0]["memory"]["metric"]
    one["cpu"] = {name: _median(m["cpu"][name] for m in known) for name in one["cpu"]}
    typical = sorted(known, key=lambda m: m["makespan_s"] or float("inf"))[(len(known) - 1) // 2]
    for name in _SPREADS:
        one[name] = {**typical[name], "max": _most(m[name]["max"] for m in known)}
    return one


def _correctness(judged: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Summed over trials: one wrong request of any of them counts."""
    requests = sum(j["requests"] for j in judged)
    known = [j["identical"] for j in judged if j["identical"] is not None]
    identical = sum(known) if judged and len(known) == len(judged) else None
    return {
        "requests": requests,
        "completed": sum(j["completed"] for j in judged),
        "identical": identical,
        "ratio": identical / requests if identical is not None and requests else None,
        "wer": _median(j["wer"] for j in judged),
        "cer": _median(j["cer"] for j in judged),
    }, [w for j in judged for w in j["wrong"]]


def _server_efficiency(one: dict[str, Any], control: dict[str, Any] | None) -> float | None:
    for run in control["runs"] if control else []:
        if run["processes"] == one["workers"]:
            return float(one["throughput_xrt"] / run["throughput_xrt"])
    return None


def _compare(one: dict[str, Any], base: dict[str, Any], cpus: int, ratios: list[float]) -> None:
    """`ratios`: makespan of the baseline / makespan, within each trial."""
    mine, theirs = one["makespan_s"]["median"], base["makespan_s"]["median"]
    if mine and theirs and ratios:
        one["speedup"] = {"median": median(ratios), "ci95": statistics.interval(ratios), "trials": ratios}
        more = min(one["workers"] * one["threads"], cpus) / min(base["workers"] * base["threads"], cpus)
        one["efficiency"] = one["speedup"]["median"] / more
    mine, theirs = one["memory"]["steady_peak_mb"], base["memory"]["steady_peak_mb"]
    if mine is not None and theirs:
        one["memory"]["growth"] = mine / theirs


def _most(values: Any) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _median(values: Any) -> float | None:
    known = [v for v in values if v is not None]
    return median(known) if known else None


def overall(found: list[dict[str, Any]]) -> str:
    """Of a sweep: whether any configuration other than a baseline is feasible."""
    said = {c["verdict"] for c in found if c["key"] != c["baseline"]}
    if gates.FEASIBLE in said:
        return gates.FEASIBLE
    return gates.INCONCLUSIVE if gates.INCONCLUSIVE in said or not said else gates.NOT_FEASIBLE


def recommend(found: list[dict[str, Any]], tolerance: float) -> dict[str, Any] | None:
    """The fewest workers among those whose throughput is within `tolerance` of the best that passes its gates; a
    baseline when nothing does. None when no configuration is right and within its memory."""
    sound = [
        c
        for c in found
        if c["throughput_xrt"] is not None and c["status"] == "ok" and not _fails(c, "correctness", "peak_memory_mb")
    ]
    if not sound:
        return None
    passing = [c for c in sound if c["verdict"] == gates.FEASIBLE and c["key"] != c["baseline"]]
    candidates = passing or [c for c in sound if c["key"] == c["baseline"]] or sound
    best = max(c["throughput_xrt"] for c in candidates)
    enough = [c for c in candidates if c["throughput_xrt"] >= (1 - tolerance) * best]
    chosen = min(enough, key=lambda c: (c["workers"] or 1, c["memory"]["peak_mb"] or 0.0))
    return {
        "workers": chosen["workers"], "threads": chosen["threads"], "pool": chosen["pool"], "key": chosen["key"],
        "reason": _why(chosen, best, sound, bool(passing)),
    }  # fmt: skip


def _fails(c: dict[str, Any], *names: str) -> bool:
    return any(gate["name"] in names and gate["verdict"] == gates.FAIL for gate in c["gates"])


def _why(chosen: dict[str, Any], best: float, sound: list[dict[str, Any]], passing: bool) -> str:
    speed, peak = f"{chosen['throughput_xrt']:.1f} x real time", chosen["memory"]["peak_mb"]
    memory = f" in {peak:.0f} MB" if peak is not None else ""
    if not passing:
        others = [c for c in sound if c["key"] != chosen["key"] and c["speedup"]["median"] is not None]
        if not others:
            return f"{speed}{memory}; there was nothing to compare it with."
        fastest: dict[str, Any] = max(others, key=_speedup)
        failed = ", ".join(g["name"] for g in fastest["gates"] if g["verdict"] == gates.FAIL) or "not decided"
        return (
            f"{speed}{memory}; more workers did not pass: {fastest['key']} reached {_speedup(fastest):.2f}x ({failed})."
        )
    gain = (
        f"{chosen['speedup']['median']:.2f}x of {chosen['baseline']}"
        if chosen["speedup"]["median"]
        else "as fast as any"
    )
    less = (
        ""
        if chosen["throughput_xrt"] >= best
        else f"; the fastest reaches {best:.1f} with more workers, which is no more than the tolerance"
    )
    return f"{speed}{memory}, {gain}{less}."


_speedup: Callable[[dict[str, Any]], float] = lambda c: float(c["speedup"]["median"])  # noqa: E731
