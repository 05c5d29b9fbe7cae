"""Selects the runs of a configuration that measured the same thing. Pure.

A run that had fewer workers than it was asked for (memory was short), another model or other packages measured
something else: an average over both would be a figure of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from capsexp.counts import counted
from capsexp.results import nodes
from capsexp.results.report import LeftOut
from capsexp.results.run import Run


def choose(runs: Sequence[Run | None]) -> tuple[list[int], tuple[LeftOut, ...]]:
    """Of runs (None: one without figures) the positions of those that count, and the others, each with why it was left
    out. Those with as many workers as were asked for count first, then those that are more, then the newest."""
    groups: dict[str, list[int]] = {}
    for at, run in enumerate(runs):
        if run is not None:
            groups.setdefault(
                json.dumps([run.workers, run.fingerprint, nodes.kind(run.environment)], sort_keys=True), []
            ).append(at)
    if not groups:
        return [], ()
    known = {at: run for at, run in enumerate(runs) if run is not None}

    def rank(own: list[int]) -> tuple[bool, int, int]:
        first = known[own[0]]
        return first.workers == first.workers_requested, len(own), own[-1]

    chosen = max(groups.values(), key=rank)
    of = known[chosen[0]]
    out = [known[at] for at in sorted(at for own in groups.values() if own is not chosen for at in own)]
    return chosen, tuple(LeftOut(trial=run.trial, num=run.num, why=_why(run, of)) for run in out)


def _why(run: Run, of: Run) -> str:
    said = []
    if run.workers != of.workers:
        said.append(f"{counted(run.workers or 0, 'worker')} instead of {of.workers}")
    if nodes.kind(run.environment) != nodes.kind(of.environment):
        said.append("made on another type of node")
    mine, theirs = run.fingerprint or {}, of.fingerprint or {}
    other = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    if other:
        said.append(f"made with other {', '.join(other)}")
    return " and ".join(said)


def unlike(mine: Mapping[str, str] | None, theirs: Mapping[str, str] | None) -> tuple[str, ...]:
    """What else than the configuration differs between two configurations that are compared: models, packages, ..."""
    parts = {*(mine or {})} & {*(theirs or {})} - {"configuration"}
    return tuple(sorted(part for part in parts if mine and theirs and mine[part] != theirs[part]))


def said(left_out: Sequence[LeftOut]) -> str | None:
    """All that were left out in one line."""
    if not left_out:
        return None
    each: dict[str, list[str]] = {}
    for one in left_out:
        each.setdefault(one.why, []).append(str(one.trial))
    listed = "; ".join(f"{'trial' if len(t) == 1 else 'trials'} {', '.join(t)}: {why}" for why, t in each.items())
    return f"left out, because they measured something else: {listed}"
