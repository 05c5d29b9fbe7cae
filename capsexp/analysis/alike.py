"""Which runs of a configuration are trials of one thing. Pure.

A run that had fewer workers than it was asked for (memory was short), another model or other packages measured
something else: an average over both would be a figure of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.counts import counted

Run = Mapping[str, Any]


def choose(runs: Sequence[Run]) -> tuple[list[int], list[dict[str, Any]]]:
    """Of runs with metrics the positions of those that count, and the others, each with why it was left out. Those
    with as many workers as were asked for count before any others, then those that are more, then the newest."""
    groups: dict[str, list[int]] = {}
    for at, run in enumerate(runs):
        if run["metrics"]:
            groups.setdefault(json.dumps([run["workers"], run.get("fingerprint")], sort_keys=True), []).append(at)
    if not groups:
        return [], []

    def rank(own: list[int]) -> tuple[bool, int, int]:
        return runs[own[0]]["workers"] == runs[own[0]]["workers_requested"], len(own), own[-1]

    chosen = max(groups.values(), key=rank)
    of = runs[chosen[0]]
    out = [at for own in groups.values() if own is not chosen for at in own]
    return chosen, [
        {"trial": runs[at]["trial"], "num": runs[at].get("num"), "why": _why(runs[at], of)} for at in sorted(out)
    ]


def _why(run: Run, of: Run) -> str:
    said = []
    if run["workers"] != of["workers"]:
        said.append(f"{counted(run['workers'], 'worker')} instead of {of['workers']}")
    mine, theirs = run.get("fingerprint") or {}, of.get("fingerprint") or {}
    other = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    if other:
        said.append(f"made with other {', '.join(other)}")
    return " and ".join(said)


def unlike(mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> list[str]:
    """What else than the configuration differs between two configurations that are compared: models, packages, ..."""
    parts = {*(mine or {})} & {*(theirs or {})} - {"configuration"}
    return sorted(part for part in parts if mine and theirs and mine[part] != theirs[part])


def said(left_out: Sequence[Mapping[str, Any]]) -> str | None:
    """All that were left out in one line."""
    if not left_out:
        return None
    each: dict[str, list[str]] = {}
    for one in left_out:
        each.setdefault(one["why"], []).append(str(one["trial"]))
    listed = "; ".join(f"{'trial' if len(t) == 1 else 'trials'} {', '.join(t)}: {why}" for why, t in each.items())
    return f"left out, as they measured something else: {listed}"


def is_harness(run: Run) -> bool:
    """Whether a run failed for a reason of ours: it says nothing about the server."""
    return bool(run["status"] != "ok" and run.get("failure") == "harness")
