"""Everything that limits what a report's figures mean, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capsexp.analysis import alike, gates, languages, neighbours, pools
from capsexp.config import engine_languages
from capsexp.config import languages as known_languages
from capsexp.counts import counted
from capsexp.report.load import RunFiles, SweepFiles
from capsexp.report.survive import Survivor


def of(files: SweepFiles, configurations: list[dict[str, Any]], survive: Survivor) -> list[str]:
    """The warnings of a report. What cannot be said of a run, as its files were edited, costs nothing else."""
    found = [*files.notes, *(f"{p['key']}, run {p['num']}: {p['why']}" for p in files.missing if "why" in p)]
    if files.sweep["interrupted"]:
        found.append("the sweep was interrupted: what is missing is listed with its reason")
    cer = {c["key"]: c["correctness"]["cer"] for c in configurations}
    for one in files.runs:
        doubt = survive(f"{name_of(one)}: language", None, _language_doubt, one, cer.get(one.run["key"]))
        found += [doubt] if doubt else []
        found += survive(f"{name_of(one)}: warnings", [], lambda one: list(_of_run(one)), one)
    for control in files.controls.values():
        if not control.get("deterministic", True):
            found.append(
                "the control's texts differ from one process count to another: "
                f"engine {control['engine']} is not deterministic"
            )
    for c in configurations:
        found += survive(f"{c['key']}: warnings", [], lambda c: list(_of_configuration(c, files)), c)
    return list(dict.fromkeys(found))


def name_of(files: RunFiles) -> str:
    return f"{files.run['key']}, run {files.run['num']}"


def faulted(run: Mapping[str, Any]) -> bool:
    """Whether faults were injected."""
    return bool(run["config"].get("fault", {}).get("name", "none") != "none")


def _of_run(one: RunFiles) -> Iterator[str]:
    run = one.run
    yield from (f"{run['key']}: {line}" for line in run["warnings"])
    for name, about in one.probes.items():
        if about.get("fault"):
            yield f"{run['key']}: the probe {name!r} {about['fault']}"
    yield from (f"skipped sample {s['file']}: {s['reason']}" for s in run["skipped"])
    yield from (f"sample {s['file']}: {s['reason']}" for s in run.get("remarks", []))
    if run.get("twin"):
        yield (
            f"engine={run['engine']} has random weights (a twin): its text means nothing, and no WER or CER is "
            "shown; speed and memory are those of the real shape, and every text must still equal the control's"
        )
    if run["metrics"] and not faulted(run) and (threads := _wrong_threads(run)):
        yield threads
    if run["config"]["control"]["name"] == "off":
        yield "the control was skipped: whether transcripts are identical cannot be judged"


def _of_configuration(c: dict[str, Any], files: SweepFiles) -> Iterator[str]:
    key = c["key"]
    if disturbed := _disturbed(c, files.runs):
        yield disturbed
    if left_out := alike.said(c["left_out"]):
        yield f"{key}: {left_out}"
    if unlike := c["unlike_baseline"]:
        yield (
            f"{key}: made with other {' and '.join(unlike)} than its baseline {c['baseline']}, so that what more "
            "workers bring cannot be told from what those bring; make both again with redo=changed"
        )
    yield from (f"{key}: {caveat}" for caveat in gates.caveats(c["gates"], files.sweep["thresholds"], 0))
    if c["incomplete"]:
        yield f"{key}: {c['incomplete']}"
    if c["status"] != "ok":
        yield f"{key}: {c['status']}: {'; '.join(c['errors'])}"
    wrong = c.get("wrong") or []
    if unlike := _UNLIKE.get(c["correctness"]["unlike"]):
        yield f"{key}: {unlike}"
    elif wrong:
        others = c["wrong_count"] - 1
        more = f" and {others} more" if others > 0 else ""
        yield f"{key}: wrong: {wrong[0]['sample']}: {wrong[0]['reason']}{more}"


def _language_doubt(one: RunFiles, cer: float | None) -> str | None:
    """Whether the engine may not know what was spoken. Of a server that is not ours only its texts tell."""
    run = one.run
    engine = run["config"]["engine"] if run.get("server") == "local" else None
    answers = [
        (name, kept["reference"], kept["results"][0]["text"])
        for name, kept in sorted(one.transcripts.items())
        if kept["results"]
    ]
    if not answers or run.get("twin"):
        return None
    known = known_languages(engine) if engine is not None else ()
    return languages.warning(engine, known, run.get("language"), answers, cer, engine_languages())


# All texts differ from the control's, which no server does that loses some.
_UNLIKE = {
    "spelling": (
        "all texts hold the control's words in another spelling: the server normalizes its text in its own way; judge "
        "words instead, with control=off thresholds.wer=0.1 (samples with transcripts)"
    ),
    "engine": (
        "all texts differ from the control's from the first word on, and hold other words instead of fewer: the server "
        "runs another engine, model or language than the control, not one that loses text; set engine= and its "
        "model_dir, model_id or language to the server's, or control=off thresholds.wer=0.1 (samples with transcripts)"
    ),
}


def _disturbed(configuration: dict[str, Any], files: Sequence[RunFiles]) -> str | None:
    """All that disturbed a configuration's runs in one line: each code once, and who took the CPUs by name."""
    runs = configuration["validity"]["runs"]
    bad = [run for run in runs if run["reasons"]]
    if not bad:
        return None
    said: dict[str, list[str]] = {}
    for run in bad:
        for reason in run["reasons"]:
            said.setdefault(reason["code"], []).append(reason["reason"])
    each = [f"{code}: {all_[0]}{_more(len(all_) - 1)}" for code, all_ in said.items()]
    nums = {run["num"] for run in bad if any(r["code"] == "OTHER_CPU" for r in run["reasons"])}
    if names := _neighbours([f for f in files if f.run.get("num") in nums]):
        each.append(f"the CPUs were taken by {names}")
    left = "none is left" if len(bad) == len(runs) else 'left out of all figures but "correct"'
    of = f"{len(bad)} of {counted(len(runs), 'run')}" if len(runs) > 1 else "its run"
    return f"{configuration['key']}: {of} INVALID, {left}: {'; '.join(each)}"


def _more(count: int) -> str:
    return f" (and {count} like it)" if count else ""


def _neighbours(files: Sequence[RunFiles]) -> str:
    """The processes of others that took most of the CPUs while these runs were measured."""
    total: dict[str, float] = {}
    for one in files:
        start, end = one.run["window_s"]["start"], one.run["window_s"]["end"]
        if start is not None and end is not None:
            for name, seconds in neighbours.took(one.neighbours, start, end):
                total[name] = total.get(name, 0.0) + seconds
    most = sorted(total.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{name} ({seconds:.1f} CPU s)" for name, seconds in most if seconds >= 0.1)


def _wrong_threads(run: Mapping[str, Any]) -> str | None:
    return pools.wrong_threads(run["key"], run["workers"] or 1, run["threads"], run["cpu_count"], run["metrics"])
