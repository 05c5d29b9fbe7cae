"""Assembles report.json from a sweep's files, and writes it beside its readable forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capsexp.analysis import aggregate, correctness, diagnosis, pools, recommend
from capsexp.files import write_json, write_text
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
    judged = [_judge(run, files.controls) for run in files.runs]
    runs = [run.run for run in files.runs]
    configurations = aggregate.configurations(runs, judged, files.controls, files.sweep["thresholds"])
    configurations += _missing(files, {c["key"] for c in configurations})
    tolerance = files.sweep["report"]["tolerance"]
    return {
        "schema": 1,
        "name": files.sweep["name"],
        "verdict": aggregate.overall(configurations),
        "valid": not any(c["status"] != "ok" for c in configurations) and not files.sweep["interrupted"],
        "interrupted": files.sweep["interrupted"],
        "warnings": _warnings(files, configurations),
        "environment": files.environment,
        "samples": runs[0]["samples"] if runs else [],
        "thresholds": files.sweep["thresholds"],
        "control": [
            {"engine": c["engine"], "threads": c["threads"], "hash": key, **run}
            for key, c in files.controls.items()
            for run in c["runs"]
        ],
        "configurations": configurations,
        "diagnosis": _diagnose(files, configurations),
        "recommendation": recommend.recommend(configurations, tolerance),
    }


def _judge(run: RunFiles, controls: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if not run.requests:
        return None
    control = controls.get(run.run["control"] or "")
    judged = correctness.judge(run.transcripts, run.requests, control, run.run["samples"])
    return {**judged, "wer": None, "cer": None} if run.run["twin"] else judged  # random weights, meaningless text


def _missing(files: SweepFiles, known: set[str]) -> list[dict[str, Any]]:
    why = "interrupted before it began" if files.sweep["interrupted"] else "its folder holds no run.json"
    return [
        aggregate.empty(planned["key"], "missing", why)
        for planned in files.missing
        if planned["key"] not in known and not known.add(planned["key"])  # type: ignore[func-returns-value]
    ]


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
        if run["metrics"] and (threads := pools.wrong_threads(run["key"], run["threads"], run["metrics"])):
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
        if configuration["status"] != "ok":
            found.append(f"{configuration['key']}: {configuration['status']}: {'; '.join(configuration['errors'])}")
        wrong = configuration.get("wrong") or []
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            found.append(f"{configuration['key']}: wrong: {wrong[0]['sample']}: {wrong[0]['reason']}{more}")
    return list(dict.fromkeys(found))


def _diagnose(files: SweepFiles, configurations: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Per configuration that disappoints: what the data say is the cause."""
    by_key = {c["key"]: c for c in configurations}
    metrics = {r.run["key"]: r.run for r in files.runs if r.run["metrics"]}
    found = {}
    for configuration in configurations:
        key, baseline = configuration["key"], by_key.get(configuration.get("baseline") or "")
        if key in metrics and baseline is not None and baseline["key"] != key:
            run = metrics[key]
            causes = diagnosis.causes(configuration, baseline, run["metrics"], run["cpu_count"])
            if causes:
                found[key] = causes
    return found
