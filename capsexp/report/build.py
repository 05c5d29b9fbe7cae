"""Assembles a report from a sweep's files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from capsexp import escape
from capsexp.analysis import (
    aggregate,
    baseline,
    correctness,
    diagnosis,
    differences,
    faults,
    gpu,
    leak,
    recommend,
    scaling,
    settle,
    timeline,
    trials,
    validity,
)  # fmt: skip
from capsexp.analysis.metrics import durations
from capsexp.files import from_here, storing
from capsexp.limits import ReportConfig
from capsexp.report import start, warnings
from capsexp.report.exporters import text
from capsexp.report.load import RunFiles, SweepFiles, read_sweep
from capsexp.report.survive import Survivor
from capsexp.report.warnings import faulted, name_of
from capsexp.report.write import write


def rebuild(folder: Path) -> dict[str, Any]:
    """Write the report in the sweep's `report.formats` from the run directories alone: the same files, the same bytes.
    Raises ArchiveError when `folder` is not a sweep's."""
    survive = Survivor()
    files = read_sweep(folder)
    report = assemble(files, survive)
    write(folder, report, files.sweep["report"].get("formats"), survive)
    with storing(folder.name):
        survive.keep(folder)
    return report


def assemble(files: SweepFiles, survive: Survivor | None = None) -> dict[str, Any]:
    """The report as plain values; see the README for its fields. What an analysis that fails would have said is left
    out, and the warnings say so."""
    survive = survive or Survivor()
    files, cut = _without_halves(files)
    settings = {**vars(ReportConfig()), **files.sweep["report"]}
    judged = [survive(f"{name_of(r)}: correctness", None, _judge, r, files.controls) for r in files.runs]
    runs = [_look_closer(run, settings, survive) for run in files.runs]
    limits = files.sweep.get("validity") or {}
    disturbed = [
        survive(
            f"{name_of(r)}: validity", _UNCHECKED, validity.reasons,
            r.run, r.segments, r.monitor, _limits(r.run, limits),
        )
        for r in files.runs
    ]  # fmt: skip
    effects = [
        survive(
            f"{name_of(r)}: effects of faults", faults.UNKNOWN, faults.effect,
            r.run, r.requests, r.segments, r.workers, r.faults, j["wrong_count"] if j else None,
        )
        for r, j in zip(files.runs, judged, strict=True)
    ]  # fmt: skip
    thresholds = files.sweep["thresholds"]
    configurations = survive(
        "configurations", _unanalysed(files), aggregate.configurations,
        runs, judged, files.controls, thresholds, disturbed, effects,
    )  # fmt: skip
    planned, missing = [p["key"] for p in files.sweep["planned"]], [m["key"] for m in files.missing] + cut
    aggregate.incomplete(configurations, planned, missing)
    configurations += _missing(files, {c["key"] for c in configurations})
    cpus = runs[0]["cpu_count"] if runs else None
    scalings = survive("scaling", [], _scalings, runs, configurations, thresholds, settings)
    asked, most = files.sweep.get("trials", 1), files.sweep.get("trials_max", 1)
    cut_short = any(r.run["status"] in validity.CUT_SHORT for r in files.runs)
    unfinished = bool(files.sweep["interrupted"] or missing or cut_short)
    advice = survive("advice", [], _advise, files, configurations, scalings, cpus, settings["tolerance"])
    report = {
        "schema": 1,
        "name": files.sweep["name"],
        "verdict": aggregate.overall(configurations, unfinished),
        "valid": not files.sweep["interrupted"]
        and all(c["status"] == "ok" and not aggregate.invalid(c) for c in configurations),
        "interrupted": files.sweep["interrupted"],
        "unfinished": unfinished,
        "trials": {
            "asked": asked,
            "max": most,
            "stopped": survive("trials", None, trials.outcome, configurations, asked, settings["ci_width"], most),
        },
        "warnings": warnings.of(files, configurations, survive),
        "environment": files.environment,
        "samples": runs[0]["samples"] if runs else [],
        "thresholds": thresholds,
        "thresholds_changed": _changed(files),
        "validity_limits": limits,
        "control": [
            {"engine": c["engine"], "threads": c["threads"], "hash": key, **run}
            for key, c in files.controls.items()
            for run in c["runs"]
        ],
        "configurations": configurations,
        "diagnosis": survive("diagnosis", {}, _diagnose, files, configurations, settings["tolerance"]),
        "scaling": scalings,
        "recommendation": _one(advice),
        "advice": advice,
        "decide": survive("what decides", None, _decide, files, configurations, unfinished),
    }
    report["warnings"] += survive.warnings
    return report


_UNCHECKED = [{"code": "UNCHECKED", "reason": "whether it was disturbed could not be analysed"}]


def _unanalysed(files: SweepFiles) -> list[dict[str, Any]]:
    """A row for each configuration although nothing could be made of its runs."""
    keys = dict.fromkeys(r.run["key"] for r in files.runs)
    found = [aggregate.empty(key, "unanalysed", "its runs could not be analysed") for key in keys]
    return [{**one, "baseline": one["key"]} for one in found]


def _changed(files: SweepFiles) -> list[list[Any]]:
    """[name, before, now] of each threshold that is not the one that the runs were asked for with: the verdict is of
    another question than the one that was put first."""
    first = next((r.run["config"].get("thresholds") for r in files.runs), None)
    before = files.sweep.get("thresholds_before") or first or files.sweep["thresholds"]
    return [list(change) for change in differences.changes(before, files.sweep["thresholds"])]


def _without_halves(files: SweepFiles) -> tuple[SweepFiles, list[str]]:
    """Without runs that were interrupted, where their configuration has others; and the keys of those."""
    whole = {r.run["key"] for r in files.runs if r.run["status"] != "interrupted"}
    halves = [r for r in files.runs if r.run["status"] == "interrupted" and r.run["key"] in whole]
    kept = [r for r in files.runs if r not in halves]
    return replace(files, runs=kept), [r.run["key"] for r in halves]


def _advise(
    files: SweepFiles,
    configurations: list[dict[str, Any]],
    scalings: list[dict[str, Any]],
    cpus: int | None,
    tolerance: float,
) -> list[dict[str, Any]]:
    """What to run, each with how to start it."""
    configs = {r.run["key"]: r.run["config"] for r in files.runs}
    advice = recommend.advise(configurations, configs, tolerance, scalings, cpus)
    for one in advice:
        if chosen := one["recommendation"]:
            chosen["server"] = start.start(configs[chosen["key"]], chosen["workers"])
            chosen["command"] = chosen["server"]["command"]
    return advice


def _one(advice: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The recommendation, where every group has the same."""
    chosen = [one["recommendation"] for one in advice]
    if not all(chosen) or len({one["command"] for one in chosen}) != 1:
        return None
    return dict(next((one for one in chosen if not one["decided"]), chosen[0]))


def _decide(files: SweepFiles, configurations: list[dict[str, Any]], unfinished: bool) -> dict[str, Any] | None:
    """The line that makes the runs which would decide what is open."""
    planned = len({p["trial"] for p in files.sweep["planned"]})
    found = settle.settle(configurations, planned, unfinished)
    if found is None:
        return None
    where, more, note = files.sweep.get("folder"), found["overrides"], found["note"]
    if more is None:
        return {"command": None, "note": note, "overrides": None}
    if not isinstance(where, str):
        where, note = "FOLDER", note + _PLACE
    return {"command": resuming(where, more), "note": note, "overrides": more}


_PLACE = "; FOLDER: where this report lies"


def resuming(where: str, overrides: Sequence[str]) -> str:
    """The line that goes on with the sweep of a folder."""
    return shlex.join(["python", "-m", "capsexp", f"resume={where}", *overrides])


def as_seen_from_here(folder: Path, report: Mapping[str, Any]) -> str:
    """report.txt for a screen: its commands name the folder as it is reached from here. The file itself holds no path
    of this machine."""
    said = (folder / text.FILE).read_text("utf-8").removesuffix("\n")
    decide = report["decide"]
    if not decide or decide["overrides"] is None:
        return said
    here = resuming(from_here(folder), decide["overrides"])
    before = escape.lines(f"{decide['command']}   ({decide['note']})")
    now = escape.lines(f"{here}   ({decide['note'].removesuffix(_PLACE)})")
    return said.replace(before, now)


def _judge(run: RunFiles, controls: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if not run.requests:
        return None
    control = controls.get(run.run["control"] or "")
    judged = correctness.judge(run.transcripts, run.requests, control, run.run["samples"])
    if run.run.get("twin"):  # random weights, meaningless text
        judged |= {"wer": None, "cer": None, "errors": {}}
    return judged


def _limits(run: Mapping[str, Any], limits: Mapping[str, float | None]) -> dict[str, float | None]:
    """What a run must keep to be VALID. A worker that took another's place is cold because it was made to be."""
    return {**limits, "warmup": None} if faulted(run) else dict(limits)


def _look_closer(files: RunFiles, settings: Mapping[str, Any], survive: Survivor) -> dict[str, Any]:
    """A run with what only its rows can say."""
    run = files.run
    if not run["metrics"]:
        return run
    window, metric = run["window_s"], run["metrics"]["memory"]["metric"]
    span = (window["start"], window["end"]) if window["start"] is not None and window["end"] is not None else None
    return {
        **run,
        "durations": survive(f"{name_of(files)}: latency", {}, durations, files.requests, files.segments),
        "gpu": survive(f"{name_of(files)}: GPUs", None, gpu.usage, files.gpu, span),
        "timeline": survive(
            f"{name_of(files)}: timeline", None, timeline.shares, run, files.requests, files.segments
        ),
        "leak": survive(
            f"{name_of(files)}: leak", None, leak.watch, files.monitor, metric, span, settings["leak_min_s"]
        ),
    }  # fmt: skip


def _missing(files: SweepFiles, known: set[str]) -> list[dict[str, Any]]:
    why = "interrupted before it began" if files.sweep["interrupted"] else "its folder holds no run.json"
    return [
        aggregate.empty(planned["key"], "damaged" if "why" in planned else "missing", planned.get("why", why))
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
    found = []
    for group in groups.values():
        if one := scaling.extrapolate(group, cpus, limit, settings["tolerance"], settings["reserve_mb"]):
            line = [c for c in configurations if (c["baseline"], c["pool"]) == (group[0]["baseline"], group[0]["pool"])]
            known = {c["workers"] for c in line}  # what was measured and does not count is not predicted either
            one["predicted"] = [row for row in one["predicted"] if row["workers"] not in known]
            found.append(one)
    return found


def _diagnose(files: SweepFiles, configurations: list[dict[str, Any]], tolerance: float) -> dict[str, list[str]]:
    """Per configuration that disappoints: what the data say is the cause."""
    by_key, found = {c["key"]: c for c in configurations}, {}
    for configuration in configurations:
        key, base = configuration["key"], by_key.get(configuration.get("baseline") or "")
        run = _typical(files, configuration)
        if run is not None and base is not None and base["key"] != key and configuration["fault"]["kind"] == "none":
            fewer = _as_fast_with_fewer(configuration, configurations, tolerance)
            load = int(run["config"].get("load", {}).get("concurrency") or 0)
            causes = diagnosis.causes(configuration, base, run["metrics"], run["cpu_count"], fewer, load)
            if causes:
                found[key] = causes
    return found


def _typical(files: SweepFiles, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of the runs that count, the one with the middle makespan."""
    own = [r.run for r in files.runs if r.run["key"] == configuration["key"] and r.run["metrics"]]
    valid = {run["num"] for run in configuration["validity"]["runs"] if run["valid"]}
    own = [run for run in own if run.get("num") in valid] or own
    own.sort(key=lambda run: run["metrics"]["makespan_s"] or float("inf"))
    return own[(len(own) - 1) // 2] if own else None


def _as_fast_with_fewer(one: dict[str, Any], every: list[dict[str, Any]], tolerance: float) -> str | None:
    others = [
        c["key"] for c in every
        if c["baseline"] == one["baseline"] and c["pool"] == one["pool"] and c["throughput_xrt"] is not None
        and one["throughput_xrt"] is not None and c["workers"] < one["workers"]
        and c["throughput_xrt"] >= (1 - tolerance) * one["throughput_xrt"]
    ]  # fmt: skip
    return others[0] if others else None
