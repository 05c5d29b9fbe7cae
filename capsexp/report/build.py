"""Assembles a report from a sweep's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from capsexp.analysis import (
    aggregate,
    baseline,
    capacity_search,
    correctness,
    cpu_speed,
    diagnosis,
    differences,
    faults,
    gpu,
    leak,
    recommend,
    scaling,
    timeline,
    validity,
    verdicts,
)  # fmt: skip
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.faults import Effect
from capsexp.analysis.figures import Figures, figures
from capsexp.config import ReportConfig, ValidityConfig
from capsexp.debug import kept_once
from capsexp.files import storing
from capsexp.report import references
from capsexp.report.advice import advise, decide, looked, only_one, raced, still_open
from capsexp.report.degrade import Survivor
from capsexp.report.warnings import Seen, warnings
from capsexp.report.write import write
from capsexp.results.read import RunFiles, SweepFiles, read_sweep
from capsexp.results.report import (
    Capacity,
    Change,
    Configuration,
    Reason,
    Report,
    Scaling,
    TrialsAsked,
)
from capsexp.results.run import Reference, Run, Tree
from capsexp.results.verdicts import Status


def rebuild(folder: Path) -> Report:
    """Write the report in the sweep's `report.formats` from the run directories alone: the same files, the same bytes.
    Raises ArchiveError when `folder` is not a sweep's."""
    survive = Survivor()
    files = read_sweep(folder)
    with storing(folder.name), kept_once(folder):
        return write(folder, assemble(files, survive), files, survive)


def assemble(files: SweepFiles, survive: Survivor | None = None) -> Report:
    """The report of a sweep's files. Where an analysis fails its part is left out, and the warnings say so."""
    survive = survive or Survivor()
    files, cut = _without_halves(files)
    settings, sweep = {**vars(ReportConfig()), **files.sweep.report}, files.sweep
    observed = observe(files, survive)
    seen = [Seen(one, run) for one, run in zip(files.runs, observed, strict=True)]
    looks = sweep.trials == "auto" or sweep.racing
    parts = (observed, files.references, sweep.thresholds, looks, sweep.slo or {})
    configurations = survive("configurations", _unanalysed(files), aggregate.configurations, *parts)
    planned, missing = [p.key for p in sweep.planned], [m.planned.key for m in files.missing] + cut
    configurations = verdicts.incomplete(configurations, planned, missing)
    configurations += _missing(files, {c.key for c in configurations})
    if sweep.racing:
        configurations = survive("race", configurations, raced, files, observed, configurations, settings["tolerance"])
    runs = [one.run for one in observed]
    cpus = runs[0].cpu_count if runs else None
    scalings = survive("scaling", [], _scalings, observed, configurations, sweep.thresholds, settings)
    cut_short = any(one.run.status in validity.CUT_SHORT for one in observed)
    unfinished = bool(sweep.interrupted or missing or cut_short)
    tolerance = settings["tolerance"]
    limits = {**vars(ValidityConfig()), **(sweep.validity or {})}
    capacity: tuple[Capacity, ...] = ()
    if searched := sweep.search:  # how much each carries is the question, and not which loads compare
        bands = capacity_search.Settings.of(searched, sweep.slo or {}, sweep.trials_max)
        capacity = survive("capacity", (), capacity_search.searches, observed, configurations, bands)
        scalings = []
    advice = [] if searched else survive("advice", [], advise, files, configurations, scalings, cpus, tolerance)
    asked = TrialsAsked(asked=sweep.trials, max=sweep.trials_max)
    if looks:
        asked = survive("trials", asked, looked, asked, files, observed, configurations, settings, sweep.stopped)
        if unfinished:  # it was stopped from outside
            asked = msgspec.structs.replace(asked, stopped=None)
        advice = survive("advice that is open", advice, still_open, advice, configurations, asked.open)
    report = Report(
        name=sweep.name,
        verdict=verdicts.of_search(capacity, unfinished) if searched else verdicts.overall(configurations, unfinished),
        valid=not sweep.interrupted and all(c.status == Status.OK and not verdicts.invalid(c) for c in configurations),
        interrupted=sweep.interrupted,
        unfinished=unfinished,
        trials=asked,
        warnings=tuple(warnings(files, seen, configurations, survive)),
        environment=files.environment,
        samples=tuple({(s.name, s.sha256): s for o in observed for s in o.run.samples}.values()),
        thresholds=sweep.thresholds,
        slo=sweep.slo or {},
        thresholds_changed=_changed(files),
        validity_limits=sweep.validity or {},
        reference=survive("reference", (), references.runs, files.references, runs, looks),
        reference_cost=survive("cost of the reference", None, references.cost, files.references, runs),
        configurations=tuple(configurations),
        diagnosis=survive("diagnosis", {}, _diagnose, observed, configurations, tolerance, limits),
        scaling=tuple(scalings),
        recommendation=only_one(advice),
        advice=tuple(advice),
        decide=survive("what decides", None, decide, files, configurations, unfinished, asked, capacity),
        capacity=capacity,
    )
    return msgspec.structs.replace(report, warnings=(*report.warnings, *survive.warnings))


_FAILED = Figures()
_UNCHECKED = (Reason(code="UNCHECKED", reason="whether it was disturbed could not be analysed"),)


def observe(files: SweepFiles, survive: Survivor | None = None) -> list[Observed]:
    """Each run with what its tables say, in the order of `files.runs`."""
    survive, settings = survive or Survivor(), {**vars(ReportConfig()), **files.sweep.report}
    return [_observed(one, files, settings, survive) for one in files.runs]


def _observed(files: RunFiles, sweep: SweepFiles, settings: Mapping[str, Any], survive: Survivor) -> Observed:
    """A run with what its tables say."""
    run, name = files.run, f"{files.run.key}, run {files.run.num}"
    limits = _limits(run, sweep.sweep.validity or {}, settings["ci_width"])
    found = survive(f"{name}: figures", _FAILED, figures_of, files)
    if found is _FAILED:  # says nothing of the server
        error, found = "its tables could not be analysed", None
        run = msgspec.structs.replace(run, status=Status.FAILED, failure="harness", error=error)
    judged = survive(f"{name}: correctness", None, _judge, files, sweep.references)
    memory = found.memory.metric if found else None
    lost = judged.wrong_count if judged else None
    harm = (run, found, files.requests, files.segments, files.workers, files.faults, lost)
    shares = (run, found, files.requests, files.segments, files.monitor)
    slope = (files.monitor, memory, run.window_s.span, settings["leak_min_s"])
    return Observed(
        run=run,
        figures=found,
        judged=judged,
        disturbed=survive(
            f"{name}: validity", _UNCHECKED, validity.reasons, run, found, files.segments, files.monitor, limits
        ),
        effect=survive(f"{name}: effects of faults", Effect(), faults.effect, *harm),
        timeline=survive(f"{name}: timeline", None, timeline.shares, *shares),
        gpu=survive(f"{name}: GPUs", None, gpu.usage, files.gpu, run.window_s.span) if found else None,
        leak=survive(f"{name}: leak", None, leak.watch, *slope) if found else None,
        work_us=survive(f"{name}: speed of the CPUs", None, cpu_speed.work_us, files.speed, run.window_s.span),
    )


def figures_of(files: RunFiles) -> Figures | None:
    """The figures of a run that ended well or is under way, or was interrupted with hours= and has a client.json;
    None of any other."""
    run = files.run
    hours = run.status == Status.INTERRUPTED and run.config.get("hours") is not None and files.client is not None
    if run.status not in (Status.OK, Status.RUNNING) and not hours:
        return None
    return figures(run, files.requests, files.segments, files.monitor, files.client, files.counts, files.packets)


def _judge(files: RunFiles, references: Mapping[str, Reference]) -> Judgement | None:
    if not files.requests:
        return None
    run = files.run
    reference = references.get(run.reference or "")
    ignored = aggregate.ignored(run, references)
    asked = (files.transcripts, files.requests, reference, run.samples, "duration" in run.tells, ignored, run.language)
    judged = correctness.judge(*asked, whole=run.status == Status.OK)
    meaningless = run.twin or (run.server == "local" and not run.speaks)  # random weights; no words of a language
    return replace(judged, errors={}) if meaningless else judged


def _limits(run: Run, given: Tree, ci_width: float | None) -> dict[str, float | None]:
    """What a run must keep to be VALID: `ci_width` too, where ratios are to be known more exactly than what others may
    take. A worker that took another's place is cold because it was made to be."""
    limits = {**given, "warmup": None} if run.fault != "none" else dict(given)
    if ci_width is not None and limits.get("interference") is not None:
        limits["interference"] = min(limits["interference"], ci_width)
    return limits


def _unanalysed(files: SweepFiles) -> list[Configuration]:
    """A row for each configuration although nothing could be made of its runs."""
    keys = dict.fromkeys(r.run.key for r in files.runs)
    found = [aggregate.empty(key, Status.UNANALYSED, "its runs could not be analysed") for key in keys]
    return [msgspec.structs.replace(one, baseline=one.key) for one in found]


def _missing(files: SweepFiles, known: Iterable[str]) -> list[Configuration]:
    """A row for each configuration of which no run can be used."""
    why = "interrupted before it began" if files.sweep.interrupted else "its folder holds no run.json"
    lost = {one.planned.key: one for one in reversed(files.missing) if one.planned.key not in known}
    return [
        aggregate.empty(key, Status.DAMAGED if one.why else Status.MISSING, one.why or why)
        for key, one in reversed(list(lost.items()))
    ]


def _without_halves(files: SweepFiles) -> tuple[SweepFiles, list[str]]:
    """Without runs that were interrupted, where their configuration has others; and the keys of those."""
    whole = {r.run.key for r in files.runs if r.run.status != Status.INTERRUPTED}
    halves = [r for r in files.runs if r.run.status == Status.INTERRUPTED and r.run.key in whole]
    kept = [r for r in files.runs if r not in halves]
    return replace(files, runs=kept), [r.run.key for r in halves]


def _changed(files: SweepFiles) -> tuple[Change, ...]:
    """Each threshold that is not the one that the runs were asked for with: the verdict is of another question than the
    one that was put first."""
    now = files.sweep.thresholds
    first = next((r.run.config.get("thresholds") for r in files.runs), None)
    before = files.sweep.thresholds_before or first or now
    return tuple(Change(name=name, before=b, now=n) for name, b, n in differences.changes(before, now))


def _scalings(
    observed: Sequence[Observed],
    configurations: Sequence[Configuration],
    thresholds: Tree,
    settings: Mapping[str, Any],
) -> list[Scaling]:
    """A fit for each group that differs in workers only."""
    groups: dict[tuple[str, str | None], list[Configuration]] = {}
    configs = {one.run.key: baseline.settings(one.run) for one in observed}
    for c in configurations:
        sound = c.status == Status.OK and c.workers and not verdicts.invalid(c)
        if sound and c.fault.kind == "none":
            groups.setdefault((baseline.group_key(configs[c.key]), c.pool), []).append(c)
    limit, cpus = thresholds.get("peak_memory_mb"), observed[0].run.cpu_count if observed else 1
    found = []
    for group in groups.values():
        if one := scaling.extrapolate(group, cpus, limit, settings["tolerance"], settings["reserve_mb"]):
            line = [c for c in configurations if (c.baseline, c.pool) == (group[0].baseline, group[0].pool)]
            known = {c.workers for c in line}  # what was measured and does not count is not predicted either
            predicted = tuple(row for row in one.predicted if row.workers not in known)
            found.append(msgspec.structs.replace(one, predicted=predicted))
    return found


def _diagnose(
    observed: Sequence[Observed],
    configurations: Sequence[Configuration],
    tolerance: float,
    limits: Mapping[str, float | None],
) -> dict[str, tuple[str, ...]]:
    """Per configuration that disappoints: what the data say is the cause."""
    by_key, found = {c.key: c for c in configurations}, {}
    configs = {o.run.key: baseline.settings(o.run) for o in observed}
    choices = recommend.choices(configurations, configs, tolerance)
    for one in configurations:
        base = by_key.get(one.baseline or "")
        typical = _typical(observed, one)
        if typical is None or typical.figures is None or base is None or base is one or one.fault.kind != "none":
            continue
        better = chosen.dominating(one) if (chosen := choices.get(one.key)) else ()
        fewer = next((c.key for c in better if recommend.with_fewer_workers(c, one)), None)
        load = int(typical.run.group("load").get("concurrency") or 0)
        causes = diagnosis.causes(one, base, typical.figures, typical.run.cpu_count, limits, fewer, load)
        if causes:
            found[one.key] = tuple(causes)
    return found


def _typical(observed: Sequence[Observed], configuration: Configuration) -> Observed | None:
    """Of the runs that count, the one with the middle makespan."""
    own = [o for o in observed if o.run.key == configuration.key and o.figures]
    return aggregate.typical(aggregate.that_count(own)) if own else None
