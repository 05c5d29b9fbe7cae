"""What a report says in sentences: the verdict, what to run and how to start it, what is open and what decides it."""

from __future__ import annotations

from typing import Any

from capsexp.analysis import race, slo, validity
from capsexp.report import capacities, placements, schedules
from capsexp.report.tables import interval, spelled
from capsexp.results.report import Advice, Report
from capsexp.results.verdicts import Reading, Status, Verdict

VERDICTS = {
    Verdict.FEASIBLE: "more workers pay here, within the limits that were set",
    Verdict.CAVEATS: "more workers pay here, within the limits that were set, but see the warnings",
    Verdict.NOT_FEASIBLE: "no configuration with more workers keeps within the limits that were set",
    Verdict.INCONCLUSIVE: "the data do not decide it",
    Verdict.BASELINE: "the configuration that others are compared with",
    Verdict.INVALID: "the runs needed for a decision were {}; see the warnings",
}
KEEPS = "the configuration keeps within its limits; no other was measured for comparison"
FAILS = "what was measured does not keep within the limits that were set; see the gates that FAIL and the warnings"
NOTHING = "every run failed, so nothing was measured; the warnings say why"
NONE_FASTER = {  # of a limit on speedup of 1 or below, or of none
    Verdict.FEASIBLE: "more workers keep within the limits that were set, but none of them is faster",
    Verdict.CAVEATS: "more workers keep within the limits that were set, but none of them is faster; see the warnings",
}

# Of a search for a capacity.
CARRIES = {
    Verdict.FEASIBLE: "the SLO is kept for the number of users below",
    Verdict.NOT_FEASIBLE: "the SLO is not kept even for the smallest load",
    Verdict.INCONCLUSIVE: "the runs do not decide for how many users the SLO is kept",
}


def sentences(report: Report) -> list[str]:
    """The verdict, the recommendation and what the data say about disappointing results."""
    said = [verdict_line(report)]
    said += changed_lines(report)
    said += capacities.lines(report) or slo_lines(report)
    for advice in report.advice:
        said += advised(advice)
    return said + decide_lines(report) + causes(report)


def causes(report: Report) -> list[str]:
    """What more workers would bring, what binds, and why results disappoint."""
    said = []
    for advice in report.advice:
        chosen, where = advice.recommendation, f"{advice.group}: " if advice.group else ""
        said += [where + line for line in (chosen and (chosen.next_sentence, chosen.binds)) or () if line]
    said += iso_resource_lines(report)
    said += placements.gains(report)
    said += schedules.gains(report)
    if raced := race.outcome(report.configurations):
        said.append(f"{raced}.")
    if report.trials.stopped:
        said.append(report.trials.stopped + ".")
    for key, causes in report.diagnosis.items():
        said += [f"{key}: {cause}" for cause in causes]
    return said


def verdict_line(report: Report) -> str:
    """`Verdict: ...` with the reason in words."""
    return f"Verdict: {spelled(report.verdict)}: {why(report)}."


def why(report: Report) -> str:
    """What the verdict says, as the end of a sentence."""
    return meaning(report).format(_unusable(report)) + _but_fewer_do(report)


def meaning(report: Report) -> str:
    """The same without what is filled in, or added."""
    if report.unfinished:
        return "the sweep is not finished"
    if report.capacity:
        return CARRIES[report.verdict]
    if report.verdict in NONE_FASTER and not _faster(report):
        return NONE_FASTER[report.verdict]
    if report.configurations and all(c.status == Status.FAILED for c in report.configurations):
        return NOTHING
    if report.verdict == Verdict.NOT_FEASIBLE and not any(c.adds_workers for c in report.configurations):
        return FAILS
    alone = {c.verdict for c in report.configurations} == {Verdict.BASELINE}
    return KEEPS if alone else VERDICTS[report.verdict]


def _faster(report: Report) -> bool:
    """Whether more workers surely, or as far as one trial tells, are faster where they pass."""
    passing = [c.metric("speedup") for c in report.configurations if c.adds_workers and c.verdict in NONE_FASTER]
    return any((one.ci95 or (one.value,))[0] > 1 for one in passing if one.value is not None)


def _but_fewer_do(report: Report) -> str:
    """Where more workers pay, and one worker with more threads (or of another pool) pays as much."""
    added = {c.key for c in report.configurations if c.adds_workers}
    chosen = [one.recommendation.key for one in report.advice if one.recommendation and one.recommendation.decided]
    if report.verdict not in NONE_FASTER or not _faster(report) or not chosen or added & set(chosen):
        return ""
    return f"; {chosen[0]} does as well with fewer workers"


def _unusable(report: Report) -> str:
    """What the runs were of configurations of which none counts."""
    none_left = [c for c in report.configurations if c.validity.invalid and not c.validity.valid]
    return validity.kinds(validity.codes(none_left))


def changed_lines(report: Report) -> list[str]:
    """Thresholds that were changed when the figures were there."""
    each = [f"{change.name} {_limit(change.before)} -> {_limit(change.now)}" for change in report.thresholds_changed]
    return [f"Thresholds were changed after the runs: {', '.join(each)}."] if each else []


def _limit(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def advised(advice: Advice) -> list[str]:
    """What is recommended, or why nothing is; then what is not decided."""
    chosen, where = advice.recommendation, f" for {advice.group}" if advice.group else ""
    if chosen is None:
        return [f"Recommended{where}: nothing; {advice.reason}."]
    word = "Recommended" if chosen.decided else "Likely, but not decided"
    said = [f"{word}{where}: {chosen.key}: {chosen.reason}"]
    return said + [f"Not decided: {line}." for line in chosen.open]


def decide_lines(report: Report) -> list[str]:
    """The line that decides what is open, if anything is."""
    decide = report.decide
    if decide is None:
        return []
    return [f"To decide it: {decide.command}   ({decide.note})" if decide.command else f"To decide it: {decide.note}."]


def start_lines(report: Report) -> list[str]:
    """How to start what is recommended, or likely."""
    found = []
    for advice in report.advice:
        if chosen := advice.recommendation:
            where, server = f" ({advice.group})" if advice.group else "", chosen.server
            what = server.command or server.note
            note = f"   ({server.note})" if server.command and server.note else ""
            found.append(f"Start it with{where}: {what}{note}")
    return list(dict.fromkeys(found))


def slo_lines(report: Report) -> list[str]:
    """Whether each configuration keeps what users were promised."""
    found = []
    for c in report.configurations:
        if not c.slo:
            continue
        missed, kept = list(slo.missed(c.slo)), slo.verdict(c.slo)
        said = "is not decided" if kept == Reading.INCONCLUSIVE else "is kept"
        what = ", ".join(missed if missed else [one.name for one in c.slo])
        found.append(f"SLO with {c.key}: {what} {'is not kept' if missed else said}.")
    return found


def iso_resource_lines(report: Report) -> list[str]:
    """Processes against one worker that may use as many cores."""
    found = []
    for c in report.configurations:
        equal = c.iso_resource
        if equal is None or equal.baseline == c.baseline:
            continue
        speedup = equal.speedup
        if equal.baseline is None:
            found.append(f"{c.key} has no iso-resource baseline: {equal.reason}.")
        elif speedup.value is not None:
            known = f" (95 % interval {interval(speedup.ci95)})" if speedup.ci95 else ""
            found.append(f"{c.key} is {speedup.value:.2f}x of one worker, {equal.baseline}{known}.")
    return found
