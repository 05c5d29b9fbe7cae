"""Finds the command that would decide what is still open. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.analysis import validity
from capsexp.results.report import Configuration, TrialsAsked
from capsexp.results.verdicts import SURE, Reading, Verdict

FIXED = TrialsAsked()


def settle(
    found: Sequence[Configuration], trials: int, unfinished: bool, asked: TrialsAsked = FIXED, most: int = 200
) -> tuple[list[str] | None, str] | None:
    """What would decide what is open: overrides to resume the sweep with (None: another sweep is needed), and a note.
    None where more runs of this sweep decide nothing. `trials`: what was planned of each; `asked`: how many were asked
    for, and what trials=auto left open; `most`: runs that a sweep may have."""
    asked_of = [c for c in found if c.fault.kind == "none" and c.dropped is None and c.key not in asked.unpursued]
    unsure = [c for c in asked_of if c.verdict not in (*SURE, Verdict.NOT_FEASIBLE)]
    if unfinished:
        return [], "makes the runs that are missing or were cut short"
    if any(c.unlike_baseline for c in unsure):
        return ["redo=changed"], "makes again what was made with other models or packages"
    useless = [c for c in found if not c.validity.valid and c.validity.invalid]
    if any(c.verdict == Verdict.INVALID for c in unsure) and useless:
        if validity.TOO_SHORT in validity.codes(useless):  # they would end as soon again
            return None, f"another sweep with longer runs: {_longest(useless)}"
        runs = max(len(c.validity.runs) for c in useless) + trials
        return [f"trials_max={runs}"], "on a machine that is left alone"
    needed = {c.key: counts for c in unsure if (counts := _needed(c))}
    if not needed and not asked.open:
        return None
    enough = {key: max(n or most + 1 for n in counts) for key, counts in needed.items()}
    few = {key: count for key, count in enough.items() if count * len(found) <= most}
    longer = [c for c in unsure if c.key in needed.keys() - few.keys()]
    by = "" if all(c.timed for c in longer) else " (load.repeats)"
    if longer and not few:
        return None, f"no reasonable number of trials: another sweep with longer runs{by}"
    rest = f"; {', '.join(c.key for c in longer)}: only another sweep with longer runs{by}" if longer else ""
    most_needed = max(few.values(), default=0)
    if asked.asked == "auto":
        overrides, note = _looking_on(found, most_needed, asked)
        return overrides, note + rest
    return [f"trials={most_needed}"], f"if the spread of the trials stays what it is{rest}"


def _needed(one: Configuration) -> list[int | None]:
    """How many trials would decide each of its limits that are open; None: no reasonable number."""
    return [gate.trials for gate in one.gates if gate.verdict == Reading.INCONCLUSIVE]


def _looking_on(found: Sequence[Configuration], needed: int, asked: TrialsAsked) -> tuple[list[str], str]:
    """How trials=auto goes on: with a new report.budget_s, and so many runs of each as would do, twice what it had
    where nobody knows."""
    keys = {key for one in asked.open for key in (one.key, *one.beside)}
    runs = max((len(c.validity.runs) for c in found if c.key in keys), default=0)
    if runs >= asked.max or needed > asked.max:
        needed = max(needed, runs + 1) if needed else 2 * runs
        return [f"trials_max={needed}"], "goes on until it is decided, for another report.budget_s at most"
    return [], "goes on until it is decided, for another report.budget_s at most"


def _longest(found: Sequence[Configuration]) -> str:
    """Of the settings that would make each run long enough the highest value."""
    most: dict[str, float] = {}
    runs = [run for c in found for run in c.validity.runs]
    for remedy in (reason.remedy for run in runs for reason in run.reasons if reason.remedy):
        key, _, value = remedy.partition("=")
        most[key] = max(most.get(key, 0.0), float(value))
    return " or ".join(f"{key}={value:g}" for key, value in most.items()) or "a longer load, or longer samples"
