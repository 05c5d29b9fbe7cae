"""What a check of one sweep against an earlier one says: as text, as Markdown and in JUnit's form."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from capsexp import escape
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.regression import BETTER, RUNS, SAME, UNDECIDED, WORSE, Finding, overall
from capsexp.report import tables, testsuites

HEADERS = ("configuration", "figure", "baseline", "now", "ratio", "95 % interval", "limit", "verdict")
_SAYS = {
    WORSE: "the server got worse",
    UNDECIDED: "what was measured does not tell whether it got worse",
    BETTER: "the server got better, and nothing got worse",
    SAME: "nothing got worse, as far as that matters",
}
_MARKS = {WORSE: "❌", UNDECIDED: "❔", BETTER: "✅", SAME: "✅"}
RULE = (
    "A figure is WORSE or BETTER when its ratio is past the limit: what noise such as the trials' does in 1 of 20 "
    "checks of equal servers, all figures together, and at least half of the change that matters ({:.0%}). It is the "
    "SAME when a change for the worse by that much is excluded at 5 %."
)


def headline(found: Sequence[Finding]) -> str:
    """The verdict, and the figures that it comes of."""
    verdict = overall(found)
    named = [f"{one.key}: {_figure(one)}{_by(one)}" for one in found if one.verdict == verdict != SAME]
    which = f" ({'; '.join(named)})" if named else ""
    return f"{verdict}: {_SAYS[verdict]}{which}."


def _by(one: Finding) -> str:
    return f" x {one.ratio:.3f}" if one.ratio is not None else f" {one.reason}"


def rows(found: Sequence[Finding]) -> list[list[str]]:
    return [
        [
            one.key, _figure(one), _shown(one, one.before), _shown(one, one.after), tables.number(one.ratio, 3),
            _interval(one), _limit(one), one.verdict,
        ]
        for one in found
    ]  # fmt: skip


def text(found: Sequence[Finding], about: Sequence[str], least: float) -> str:
    """`about`: what stands below the table, a line each."""
    table = [[escape.one_line(cell) for cell in row] for row in rows(found)]
    parts = [headline(found), "", tabulate(table, HEADERS, disable_numparse=True), ""]
    lines = [escape.one_line(line) for line in (*undecided(found), *about)]
    return "\n".join([*parts, *lines, RULE.format(least)])


def markdown(found: Sequence[Finding], about: Sequence[str], least: float) -> str:
    """For a page of a CI."""
    table = [[escape.markdown(cell) for cell in row] for row in rows(found)]
    lines = [*undecided(found), *about, RULE.format(least)]
    parts = [
        f"## {_MARKS[overall(found)]} capsexp: {overall(found)}", escape.markdown(headline(found)),
        tabulate(table, HEADERS, "pipe", disable_numparse=True), "\n".join(f"- {escape.markdown(x)}" for x in lines),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def junit(name: str, found: Sequence[Finding]) -> str:
    """A suite for each configuration, a case for each figure. What was not decided is skipped: see the exporter."""
    keys = dict.fromkeys(one.key for one in found)
    return testsuites.document(
        name, (testsuites.suite(name, key, [_case(one) for one in found if one.key == key]) for key in keys)
    )


def _case(one: Finding) -> testsuites.Element:
    said = one.reason
    if one.before is not None and one.after is not None:
        limit = f", limit {_limit(one)}" if one.limit is not None else ""
        said = f"{_shown(one, one.after)} now, {_shown(one, one.before)} in the baseline{limit}: {one.reason}"
    if one.verdict == WORSE:
        return testsuites.failed(one.metric, WORSE, said)
    if one.verdict == UNDECIDED:
        return testsuites.skipped(one.metric, UNDECIDED, f"{UNDECIDED}: {said}{_more(one)}")
    return testsuites.passed(one.metric, f"{one.verdict}: {said}")


def undecided(found: Sequence[Finding]) -> list[str]:
    """What is open, and what would decide it."""
    return [f"{one.key}, {_figure(one)}: {one.reason}{_more(one)}." for one in found if one.verdict == UNDECIDED]


def _more(one: Finding) -> str:
    return f"; trials={one.trials} of each would tell" if one.trials else ""


def _figure(one: Finding) -> str:
    return "runs" if one.metric == RUNS else BY_TAG[one.metric].header


def _shown(one: Finding, value: float | None) -> str:
    return "-" if value is None else tables.shown(one.metric, value)


def _interval(one: Finding) -> str:
    if one.ci95 is None or one.ratio is not None:
        return tables.interval(one.ci95, 3)
    return " to ".join(f"{100 * end:+.1f}" for end in one.ci95)


def _limit(one: Finding) -> str:
    if one.limit is None:
        return "-"
    return f"{100 * one.limit:+.1f}" if one.ratio is None else f"{one.limit:.3f}"
