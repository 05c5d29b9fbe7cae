"""Assembles report.json from a sweep's files, and writes it beside its readable forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capsexp.analysis import (
    aggregate,
    baseline,
    correctness,
    diagnosis,
    faults,
    leak,
    pools,
    recommend,
    scaling,
    timeline,
    trials,
    validity,
)  # fmt: skip
from capsexp.files import write_json, write_text
from capsexp.limits import ReportConfig
from capsexp.report import markdown, text
from capsexp.report.load import RunFiles, SweepFiles, read_sweep


def rebuild(folder: Path) -> dict[str, Any]:
    """Write report.txt, report.md and report.json from the run directories alone: the same files, the same bytes.
    Raises ArchiveError when `folder` is not a sweep's."""
    report = assemble(read_sweep(folder))
    write_json(folder / "report.json", report)
    write_text(folder / "report.txt", text.render(report))
    write_text(folder / "report.md", markdown.render(report))
    return report


def assemble(files: SweepFiles) -> dict[str, Any]:
    """The report as plain values; see the README for its fields."""
    settings = {**vars(ReportConfig()), **files.sweep["report"]}
    judged = [_judge(run, files.controls) for run in files.runs]
    runs = [_look_closer(run, settings) for run in files.runs]
    limits = files.sweep.get("validity") or {}
    disturbed = [validity.reasons(r.run, r.segments, r.monitor, _limits(r.run, limits)) for r in files.runs]
    effects = [
        faults.effect(r.run, r.requests, r.segments, r.workers, r.faults, j["wrong_count"] if j else None)
        for r, j in zip(files.runs, judged, strict=True)
    ]
    thresholds = files.sweep["thresholds"]
    configurations = aggregate.configurations(runs, judged, files.controls, thresholds, disturbed, effects)
    configurations += _missing(files, {c["key"] for c in configurations})
    cpus = runs[0]["cpu_count"] if runs else None
    scalings = _scalings(runs, configurations, thresholds, settings)
    asked, most = files.sweep.get("trials", 1), files.sweep.get("trials_max", 1)
    return {
        "schema": 1,
        "name": files.sweep["name"],
        "verdict": aggregate.overall(configurations),
        "valid": not files.sweep["interrupted"]
        and all(c["status"] == "ok" and not aggregate.invalid(c) for c in configurations),
        "interrupted": files.sweep["interrupted"],
        "trials": {
            "asked": asked,
            "max": most,
            "stopped": trials.outcome(configurations, asked, settings["ci_width"], most),
        },
        "warnings": _warnings(files, configurations),
        "environment": files.environment,
        "samples": runs[0]["samples"] if runs else [],
        "thresholds": thresholds,
        "validity_limits": limits,
        "control": [
            {"engine": c["engine"], "threads": c["threads"], "hash": key, **run}
            for key, c in files.controls.items()
            for run in c["runs"]
        ],
        "configurations": configurations,
        "diagnosis": _diagnose(files, configurations, settings["tolerance"]),
        "scaling": scalings,
        "recommendation": recommend.recommend(configurations, settings["tolerance"], scalings, cpus),
    }


def _judge(run: RunFiles, controls: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if not run.requests:
        return None
    control = controls.get(run.run["control"] or "")
    judged = correctness.judge(run.transcripts, run.requests, control, run.run["samples"])
    if run.run["twin"]:  # random weights, meaningless text
        judged |= {"wer": None, "cer": None, "errors": {}}
    return judged


def _limits(run: Mapping[str, Any], limits: Mapping[str, float | None]) -> dict[str, float | None]:
    """What a run must keep to be VALID. A worker that took another's place is cold because it was made to be."""
    return {**limits, "warmup": None} if _faulted(run) else dict(limits)


def _faulted(run: Mapping[str, Any]) -> bool:
    return bool(run["config"].get("fault", {}).get("name", "none") != "none")


def _look_closer(files: RunFiles, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A run with what only its rows can say."""
    run = files.run
    if not run["metrics"]:
        return run
    window, metric = run["window_s"], run["metrics"]["memory"]["metric"]
    span = (window["start"], window["end"]) if window["start"] is not None and window["end"] is not None else None
    return {
        **run,
        "timeline": timeline.shares(run, files.requests, files.segments),
        "leak": leak.watch(files.monitor, metric, span, settings["leak_min_s"]),
    }


def _missing(files: SweepFiles, known: set[str]) -> list[dict[str, Any]]:
    why = "interrupted before it began" if files.sweep["interrupted"] else "its folder holds no run.json"
    return [
        aggregate.empty(planned["key"], "missing", why)
        for planned in files.missing
        if planned["key"] not in known and not known.add(planned["key"])  # type: ignore[func-returns-value]
    ]


def _scalings(
    runs: list[dict[str, Any]],
    configurations: list[dict[str, Any]],
    thresholds: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A fit for each group that differs in workers only."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    configs = {run["key"]: run["config"] for run in runs}
    for c in configurations:
        sound = c["status"] == "ok" and c["workers"] and not aggregate.invalid(c)
        if sound and c["fault"]["kind"] == "none":
            groups.setdefault((baseline.group_key(configs[c["key"]]), c["pool"]), []).append(c)
    limit, cpus = thresholds.get("peak_memory_mb"), runs[0]["cpu_count"] if runs else 1
    found = [
        scaling.extrapolate(group, cpus, limit, settings["tolerance"], settings["reserve_mb"])
        for group in groups.values()
    ]
    return [one for one in found if one]


def _warnings(files: SweepFiles, configurations: list[dict[str, Any]]) -> list[str]:
    """Everything that limits what the figures mean, each once."""
    found: list[str] = []
    if files.sweep["interrupted"]:
        found.append("the sweep was interrupted: what is missing is listed with its reason")
    for run in (r.run for r in files.runs):
        found += [f"{run['key']}: {line}" for line in run["warnings"]]
        found += [f"skipped sample {s['file']}: {s['reason']}" for s in run["skipped"]]
        if run["twin"]:
            found.append(
                f"engine={run['engine']} has random weights (a twin): its text means nothing, and no WER or CER is "
                "shown; speed and memory are those of the real shape, and every text must still equal the control's"
            )
        if run["metrics"] and not _faulted(run) and (threads := _wrong_threads(run)):
            found.append(threads)
        if run["config"]["control"]["name"] == "off":
            found.append("the control was skipped: whether transcripts are identical cannot be judged")
    for control in files.controls.values():
        if not control["deterministic"]:
            found.append(
                "the control's texts differ from one process count to another: "
                f"engine {control['engine']} is not deterministic"
            )
    for configuration in configurations:
        key = configuration["key"]
        for one in configuration["validity"]["runs"]:
            if one["reasons"]:
                reasons = "; ".join(f"{r['code']}: {r['reason']}" for r in one["reasons"])
                found.append(f"{key}, run {one['num']} (trial {one['trial']}) is INVALID: {reasons}")
        found += [f"{key}: {caveat}" for caveat in configuration["caveats"]]
        if configuration["status"] != "ok":
            found.append(f"{key}: {configuration['status']}: {'; '.join(configuration['errors'])}")
        wrong = configuration.get("wrong") or []
        if wrong:
            others = configuration["wrong_count"] - 1
            more = f" and {others} more" if others > 0 else ""
            found.append(f"{key}: wrong: {wrong[0]['sample']}: {wrong[0]['reason']}{more}")
    return list(dict.fromkeys(found))


def _wrong_threads(run: dict[str, Any]) -> str | None:
    return pools.wrong_threads(run["key"], run["workers"] or 1, run["threads"], run["cpu_count"], run["metrics"])


def _diagnose(files: SweepFiles, configurations: list[dict[str, Any]], tolerance: float) -> dict[str, list[str]]:
    """Per configuration that disappoints: what the data say is the cause."""
    by_key = {c["key"]: c for c in configurations}
    metrics = {r.run["key"]: r.run for r in files.runs if r.run["metrics"]}
    found = {}
    for configuration in configurations:
        key, base = configuration["key"], by_key.get(configuration.get("baseline") or "")
        if key in metrics and base is not None and base["key"] != key and configuration["fault"]["kind"] == "none":
            run = metrics[key]
            fewer = _as_fast_with_fewer(configuration, configurations, tolerance)
            causes = diagnosis.causes(configuration, base, run["metrics"], run["cpu_count"], fewer)
            if causes:
                found[key] = causes
    return found


def _as_fast_with_fewer(one: dict[str, Any], every: list[dict[str, Any]], tolerance: float) -> str | None:
    others = [
        c["key"] for c in every
        if c["baseline"] == one["baseline"] and c["pool"] == one["pool"] and c["throughput_xrt"] is not None
        and one["throughput_xrt"] is not None and c["workers"] < one["workers"]
        and c["throughput_xrt"] >= (1 - tolerance) * one["throughput_xrt"]
    ]  # fmt: skip
    return others[0] if others else None
