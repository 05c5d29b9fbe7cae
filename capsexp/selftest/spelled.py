"""What a self-test tells its user: a line for each figure, what failed and what that means; or JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from capsexp import __version__
from capsexp.counts import counted
from capsexp.selftest.judge import Finding, Judged, lacking, proven
from capsexp.selftest.plant import Plant

MARKS = {"within": "yes", "off": "NO", "vague": "VAGUE", "not seen": "NOT SEEN"}
SCHEMA = 1


def number(value: float, unit: str = "") -> str:
    """Three digits after the point at most, of what is large fewer."""
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 0
    return f"{value:.{digits}f} {unit}".strip()


def lines(judged: Judged) -> str:
    """The table of a plant; what is wrong stands below its line."""
    head = f"{judged.plant.name}: {judged.plant.about}"
    if judged.error is not None:
        head += f"\n  NO RESULT: {judged.error}"
    rows = [_row(finding) for finding in judged.findings]
    if not rows:
        return head
    table = tabulate(rows, ("figure", "planted", "reported", "within?", ""), "plain", disable_numparse=True)
    return head + "".join(f"\n  {line.rstrip()}" for line in table.splitlines())


def _row(found: Finding) -> list[str]:
    said = MARKS[found.verdict]
    return [found.what, _planted(found), _reported(found), said, found.note]


def _planted(found: Finding) -> str:
    if isinstance(found.planted, tuple):
        return ", ".join(found.planted) or "none"
    if found.planted is None:
        return "-"
    least = "at least " if found.least else ""
    allowed = f" +- {number(found.allowed)}" if found.allowed else ""
    return f"{least}{number(found.planted, found.unit)}{allowed}"


def _reported(found: Finding) -> str:
    if isinstance(found.reported, tuple):
        return ", ".join(found.reported) or "none"
    if found.reported is None:
        return "-"
    interval = f" ({number(found.ci95[0])} to {number(found.ci95[1])})" if found.ci95 else ""
    return f"{number(found.reported, found.unit)}{interval}"


def summary(judged: Sequence[Judged], untried: Sequence[tuple[Plant, str]], seconds: float) -> str:
    """What it comes to. `untried`: what cannot be planted on this system, and why."""
    findings = [finding for one in judged for finding in one.findings]
    right, took = sum(f.verdict == "within" for f in findings), f"in {seconds:.0f} s"
    said = [f"not planted: {plant.name}: {why}; nothing is proven of it" for plant, why in untried]
    if proven(judged):
        every = f"All {counted(right, 'figure')} recovered what was planted, {took}"
        return "\n".join([*said, f"{every}: this installation measures on this machine what is there."])
    if not judged:
        return "\n".join([*said, "Nothing was planted, so nothing is proven."])
    said.append(f"{right} of {counted(len(findings), 'figure')} recovered what was planted, {took}. Do not rely on")
    for one in lacking(judged):
        which = ", ".join(f.what for f in one.findings if f.verdict != "within") or "nothing was seen"
        said.append(f"  - {one.plant.doubt} (plant {one.plant.name}: {one.error or which})")
    names = " ".join(f"-k {one.plant.name}" for one in lacking(judged))
    said.append(
        f"Once more on a quiet machine (python -m capsexp.doctor shows what else runs): python -m capsexp.selftest "
        f"{names} --keep FOLDER; what fails again is a fault of capsexp or of this installation: report it with "
        "that folder."
    )
    return "\n".join(said)


def as_json(judged: Sequence[Judged], untried: Sequence[tuple[Plant, str]], seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": SCHEMA,
        "capsexp": __version__,
        "proven": proven(judged),
        "seconds": round(seconds, 1),
        "plants": [
            {
                "name": one.plant.name, "about": one.plant.about, "recovered": one.recovered, "error": one.error,
                "doubt": None if one.recovered else one.plant.doubt, "findings": [_plain(f) for f in one.findings],
            }
            for one in judged
        ],
        "untried": [{"name": plant.name, "why": why} for plant, why in untried],
    }  # fmt: skip


def _plain(found: Finding) -> dict[str, Any]:
    return {name: value for name, value in vars(found).items() if name != "plant"}
