"""Turns runs into configurations, each compared with its baselines and judged (see verdicts). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from capsexp.analysis import alike, baseline, gpu, latency, metrics, slo, validity, verdicts
from capsexp.analysis import faults as fault_effects
from capsexp.analysis.combine import Evidence, speedup
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.faults import Effect
from capsexp.analysis.figures import Figures
from capsexp.analysis.plain_speeds import PlainSpeeds
from capsexp.results import nodes
from capsexp.results.report import (
    Configuration,
    GpuUse,
    IsoResource,
    Leak,
    Reason,
    Requests,
    RunValidity,
    Timeline,
    Unpinned,
    Validity,
)
from capsexp.results.run import SETTINGS, Reference, Run
from capsexp.results.verdicts import Status, Verdict
from capsexp.targets.base import IGNORABLE

replace = msgspec.structs.replace


NO_BASELINE = "no baseline on this node type"


@dataclass(frozen=True)
class Observed:
    """A run and what was made of its tables. `disturbed`: why its figures are not the server's own (none: it is VALID);
    `effect`: what injected faults did to it; `work_us`: how slow the CPUs were (see cpu_speed)."""

    run: Run
    figures: Figures | None = None
    judged: Judgement | None = None
    disturbed: tuple[Reason, ...] = ()
    effect: Effect | None = None
    timeline: Timeline | None = None
    leak: Leak | None = None
    gpu: GpuUse | None = None
    work_us: float | None = None

    @property
    def counts(self) -> bool:
        """Whether its figures are the server's own: it ended well, and was not disturbed."""
        return self.run.status == Status.OK and self.figures is not None and not self.disturbed


@dataclass(frozen=True)
class _Case:
    """All runs of one key. `own`: without runs that failed through a fault of capsexp itself; `counted`: those that
    figures are made of."""

    every: Sequence[Observed]
    own: Sequence[Observed]
    counted: Sequence[Observed]
    first: Run
    evidence: Evidence
    configuration: Configuration = field(repr=False)


def empty(key: str, status: Status, why: str) -> Configuration:
    """A configuration of which nothing is known but why."""
    return Configuration(key=key, status=status, errors=(why,), verdict=_unjudged_verdict(status))


def _unjudged_verdict(status: Status) -> Verdict:
    """Of a configuration without gates."""
    return Verdict.NOT_FEASIBLE if status in (Status.FAILED, Status.REFUSED) else Verdict.INCONCLUSIVE


def configurations(
    observed: Sequence[Observed],
    references: Mapping[str, Reference],
    thresholds: Mapping[str, Any],
    looks: bool = False,
    promised: Mapping[str, Any] | None = None,
) -> list[Configuration]:
    """Runs of one key are trials of one configuration. A run that failed for a reason of the harness is a trial that is
    missing; those that measured something else than the others (see `alike`) are left out. `looks`: with trials=auto
    they are looked at one by one; `promised`: the SLO."""
    speeds = PlainSpeeds((o.run for o in observed), references)
    cases = {
        key: _case([o for o in observed if o.run.key == key], references, speeds, looks, promised or {})
        for key in dict.fromkeys(o.run.key for o in observed)
    }
    firsts = [case.first for case in cases.values()]
    bases = baseline.find(firsts)
    found = {key: _compared(case, cases[bases[key]]) for key, case in cases.items()}
    for key in baseline.elsewhere(firsts):
        found[key] = replace(found[key], role=None, no_baseline=NO_BASELINE)
    found = _with_iso_resource(found, cases)
    for key, free in baseline.unpinned(firsts).items():
        gain = speedup(cases[key].evidence, cases[free].evidence)
        found[key] = replace(found[key], unpinned=Unpinned(key=free, speedup=gain))
    for key, unharmed in baseline.without_fault(firsts).items():
        found[key] = replace(found[key], fault=fault_effects.against_unharmed(found[key], found[unharmed]))
    return [verdicts.judged(one, found[one.baseline or key], thresholds, looks) for key, one in found.items()]


def _case(
    every: list[Observed],
    references: Mapping[str, Reference],
    speeds: PlainSpeeds,
    looks: bool,
    promised: Mapping[str, Any],
) -> _Case:
    own = [o for o in every if not o.run.failed_by_us]
    same, left_out = alike.choose([o.run if o.figures else None for o in own])
    known = [own[at] for at in same]
    counted = that_count(known)
    first = (counted or every)[0].run
    judged = [o.judged for o in own if o.judged]
    leaks = [o.leak for o in counted if o.leak]
    leak = max(leaks, key=lambda leak: (leak.mb_per_h is not None, leak.steady_s or 0.0), default=Leak())
    evidence = Evidence(
        workers=first.workers,
        threads=first.threads,
        cpus=first.cpu_count,
        trials={o.run.trial: o.figures for o in counted if o.figures},
        judged=judged,
        leak=leak,
        reference_rtfx=speeds.once(first),
        reference_by_trial={o.run.trial: rtfx for o in counted if o.figures and (rtfx := speeds.beside(o.run))},
        looks=looks,
    )
    out = {(left.trial, left.num) for left in left_out}
    kept = [o for o in every if (o.run.trial, o.run.num) not in out]
    mine = own or every
    status = next((o.run.status for o in mine if o.run.status != Status.OK), Status.OK)
    configuration = Configuration(
        key=first.key,
        workers=first.workers,
        workers_requested=first.workers_requested,
        threads=first.threads,
        pool=first.pool,
        placement=baseline.placement(first.config),
        node=nodes.kind(first.environment),
        pinned=first.pinned,
        engine=first.engine,
        target=str(first.group("target").get("name", "capswriter")),  # before there were others
        ignored=ignored(first, references),
        load=_load(first),
        dispatch=first.dispatch,
        schedule=str(first.group("server").get("schedule", "fifo")) if first.server == "local" else None,
        status=status,
        errors=tuple(o.run.error for o in mine if o.run.error),
        failure=None if own else "harness",
        trials=len(evidence.trials),
        memory_metric=next((f.memory.metric for f in evidence.figures if f.memory.metric), None),
        requests=_requests(judged),
        wrong=tuple(w for j in judged for w in j.wrong),
        wrong_count=sum(j.wrong_count for j in judged),
        validity=_validity(kept),
        timeline=typical(counted).timeline if counted else None,
        leak=leak,
        gpu=gpu.typical([o.gpu for o in counted if o.gpu]),
        fault=fault_effects.summary(first.fault, [o.effect for o in own if o.effect]),
        left_out=left_out,
        timed=any(f.timed for f in evidence.figures),
        parts=latency.pooled(f.felt for f in evidence.figures),
        slo=slo.judge([o.figures.felt.each for o in counted if o.figures], promised, looks),
        verdict=_unjudged_verdict(status) if own else Verdict.INCONCLUSIVE,
    )
    return _Case(every, own, counted, first, evidence, configuration)


def that_count(runs: Sequence[Observed]) -> Sequence[Observed]:
    """The valid ones or, as there is nothing better to show, all."""
    return [one for one in runs if not one.disturbed] or runs


def ignored(run: Run, references: Mapping[str, Reference]) -> tuple[str, ...]:
    """In what its texts may differ from the reference's: not from a server's own, but for how numbers are counted."""
    found = run.group("target").get("ignore")
    known = tuple(name for name in IGNORABLE if isinstance(found, (list, tuple)) and name in found)
    reference = references.get(run.reference or "")
    exact = reference is not None and reference.kind == "server"
    return tuple(name for name in known if name == "numbers") if exact else known


def typical(counted: Sequence[Observed]) -> Observed:
    """Of the runs that count the one with the middle makespan."""

    def makespan(one: Observed) -> float:
        return (one.figures.makespan_s if one.figures else None) or float("inf")

    return sorted(counted, key=makespan)[(len(counted) - 1) // 2]


def _requests(judged: Sequence[Judgement]) -> Requests:
    """Summed over all trials, those with disturbed times too: one wrong request of any of them counts."""
    known = [j.identical for j in judged if j.identical is not None]
    kinds = {j.unlike for j in judged}
    return Requests(
        total=sum(j.requests for j in judged),
        completed=sum(j.completed for j in judged),
        identical=sum(known) if judged and len(known) == len(judged) else None,
        unsure=sum(j.unsure for j in judged),
        unlike=kinds.pop() if len(kinds) == 1 else None,
    )


def _validity(kept: Sequence[Observed]) -> Validity:
    runs = []
    for one in kept:
        if one.figures or one.run.failed_by_us:
            code = validity.SETTINGS if one.run.failure == SETTINGS else validity.HARNESS
            ours = (Reason(code=code, reason=one.run.error or ""),)
            why = ours if one.run.failed_by_us else one.disturbed
            runs.append(RunValidity(num=one.run.num, trial=one.run.trial, valid=not why, reasons=why))
    valid = sum(run.valid for run in runs)
    return Validity(valid=valid, invalid=len(runs) - valid, runs=tuple(runs))


def _load(run: Run) -> str:
    """Its kind; `all` with a bound is a closed one."""
    name = str(run.group("load").get("name", "all"))  # before there were others
    return "closed" if name == "all" and run.concurrency else name


def _compared(case: _Case, base: _Case) -> Configuration:
    """With its baseline, and its metrics."""
    one = replace(
        case.configuration,
        baseline=base.first.key,
        unlike_baseline=alike.unlike(case.first.fingerprint, base.first.fingerprint),
        metrics=metrics.compute(case.evidence, None if base is case else base.evidence),
    )
    return replace(one, role="baseline") if base is case and one.fault.kind == "none" else one


def _with_iso_resource(found: dict[str, Configuration], cases: Mapping[str, _Case]) -> dict[str, Configuration]:
    """`iso_resource` of each configuration with more than one worker, and the rows compared with marked."""
    wide = {key: baseline.group_key(baseline.settings(case.first), "threads") for key, case in cases.items()}
    changed = dict(found)
    for key, one in found.items():
        if (one.workers or 1) == 1 or one.value("throughput_rtfx") is None or one.fault.kind != "none":
            continue
        singles = [c for c in found.values() if c.workers == 1 and wide[c.key] == wide[key]]
        best, why = baseline.iso_resource(one, singles, cases[key].first.one_core)
        against = speedup(cases[key].evidence, cases[best.key].evidence if best else None)
        equal = IsoResource(baseline=best.key if best else None, speedup=against, reason=why)
        changed[key] = replace(changed[key], iso_resource=equal)
        if best is not None and best.key != one.baseline:
            changed[best.key] = replace(changed[best.key], role="iso-resource baseline")
    return changed
