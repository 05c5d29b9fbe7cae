"""Whether a report says what was planted. Pure.

A figure recovers what was planted where its value is as near to that as the plant allows, however wide its 95 %
interval is: what is printed as allowed is all that is. The interval of a mean over trials, or of one run's slope, must
not be so wide that it says nothing either. One over requests tells how these differ, which is planted itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from capsexp.results.report import Estimate, Interval, Report
from capsexp.selftest.plant import Account, Expected, Figure, Named, Plant, configuration

Verdict = Literal["within", "off", "vague", "not seen"]
WIDEST = 3.0  # half an interval, in what the plant allows


@dataclass(frozen=True)
class Finding:
    """One line: what was planted and what was reported, with its interval, as numbers in `unit` or as names. `note`:
    what is wrong, or nothing."""

    plant: str
    what: str
    planted: float | tuple[str, ...] | None
    reported: float | tuple[str, ...] | None
    verdict: Verdict
    why: str
    note: str = ""
    ci95: Interval | None = None
    allowed: float | None = None
    unit: str = ""
    least: bool = False


@dataclass(frozen=True)
class Judged:
    """A plant and what came of it. `error`: why its sweep says nothing."""

    plant: Plant
    findings: tuple[Finding, ...]
    error: str | None = None

    @property
    def recovered(self) -> bool:
        """Whether all of it was seen and is right; a plant that nobody looks at proves nothing."""
        return self.error is None and bool(self.findings) and all(f.verdict == "within" for f in self.findings)


def judge(plant: Plant, report: Report | None, account: Account, error: str | None = None) -> Judged:
    """`report`: None where there is none; `account`: what the equipment beside it did."""
    if report is None:
        return Judged(plant, (), error or "its sweep left no report")
    return Judged(plant, tuple(_found(plant.name, each, report, account) for each in plant.expected), error)


def _found(plant: str, expected: Expected, report: Report, account: Account) -> Finding:
    if isinstance(expected, Named):
        return _names(plant, expected, report)
    planted = expected.planted(report, account) if callable(expected.planted) else expected.planted
    seen = expected.read(report, account) if expected.read else metric(report, expected)
    least = expected.least(report) if callable(expected.least) else expected.least
    verdict, allowed, note = _compared(expected, planted, seen, least)
    return Finding(
        plant=plant, what=expected.what, planted=planted, reported=seen.value, verdict=verdict, why=expected.why,
        note=note, ci95=seen.ci95, allowed=allowed, unit=expected.unit, least=least,
    )  # fmt: skip


def metric(report: Report, expected: Figure) -> Estimate:
    """What the report says of it, less the blank."""
    seen = configuration(report, expected.key).metric(expected.tag)
    if expected.beyond is None:
        return seen
    blank = configuration(report, expected.beyond).metric(expected.tag)
    if seen.value is None or blank.value is None:
        return Estimate()
    return Estimate(value=seen.value - blank.value, n=seen.n, of=seen.of)


def _compared(
    expected: Figure, planted: float | None, seen: Estimate, least: bool
) -> tuple[Verdict, float | None, str]:
    if planted is None:
        return "not seen", None, "nothing was planted, so there was nothing to look at"
    allowed = expected.absolute + expected.relative * abs(planted)
    if seen.value is None:
        return "not seen", allowed, "the report has no such figure"
    if expected.n is not None and seen.n != expected.n:
        return "not seen", allowed, f"it is made of {seen.n} {seen.of}, where {expected.n} were planted"
    if least:
        enough = seen.value >= planted - allowed
        return ("within", allowed, "") if enough else ("off", allowed, "it is less than was planted")
    if abs(seen.value - planted) > allowed:
        return "off", allowed, "it is not what was planted"
    low, high = seen.ci95 if seen.ci95 and seen.of in ("trials", "pairs") else (seen.value, seen.value)
    if (high - low) / 2 > WIDEST * allowed:
        return "vague", allowed, "its interval is too wide to say anything"
    return "within", allowed, ""


def _names(plant: str, expected: Named, report: Report) -> Finding:
    seen = tuple(expected.read(report))
    missing, more = sorted(set(expected.planted) - set(seen)), sorted(set(seen) - set(expected.planted))
    said = [f"{', '.join(names)} {what}" for names, what in ((missing, "is missing"), (more, "is too much")) if names]
    verdict: Verdict = "within" if not said else "off" if seen else "not seen"
    return Finding(plant, expected.what, expected.planted, seen, verdict, expected.why, "; ".join(said))


def lacking(judged: Sequence[Judged]) -> list[Judged]:
    """Those that were not recovered."""
    return [one for one in judged if not one.recovered]


def proven(judged: Sequence[Judged]) -> bool:
    """Whether everything that was looked at is right; where nothing was, nothing is proven."""
    return bool(judged) and not lacking(judged)
