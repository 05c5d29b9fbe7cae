"""report.junit.xml: for the CI that knows JUnit's form. A test suite per configuration, a test case per gate, and one
that says whether its runs were made and count.

What was not decided is skipped, with its reason: a CI that fails on it would fail on noise. Runs that failed, are
missing or do not count are errors.
"""

from __future__ import annotations

from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.validity import codes, kinds
from capsexp.analysis.verdicts import invalid
from capsexp.counts import once
from capsexp.report import testsuites
from capsexp.report.testsuites import Element
from capsexp.results.report import Configuration, GateResult, Report
from capsexp.results.verdicts import Reading, Status, Verdict

FILE = "report.junit.xml"


def render(report: Report) -> str:
    return testsuites.document(report.name, (_suite(report.name, c) for c in report.configurations))


def _suite(name: str, c: Configuration) -> Element:
    return testsuites.suite(name, c.key, [_runs(c), *(_gate(gate) for gate in c.gates)])


def _runs(c: Configuration) -> Element:
    """Whether the runs were made and tell anything; without them no gate is worth its verdict."""
    validity = c.validity
    if c.status != Status.OK:
        return testsuites.erred("runs", c.status, once(c.errors) or c.status)
    if c.incomplete:
        return testsuites.erred("runs", Status.MISSING, c.incomplete)
    if why := invalid(c):
        reasons = dict.fromkeys(reason.reason for run in validity.runs for reason in run.reasons)
        return testsuites.erred("runs", Verdict.INVALID, f"{why}: {'; '.join(reasons)}")
    left_out = f", {validity.invalid} left out: {kinds(codes([c]))}" if validity.invalid else ""
    return testsuites.passed("runs", f"{validity.valid} valid{left_out}")


def _gate(gate: GateResult) -> Element:
    metric, verdict = gate.metric, gate.verdict
    if verdict == Reading.PASS:
        return testsuites.passed(metric, _compared(gate))
    if verdict == Reading.FAIL:
        return testsuites.failed(metric, verdict, _compared(gate))
    if verdict in (Reading.INCONCLUSIVE, Reading.NOT_JUDGED):
        reason = gate.reason or "no reason given"
        said = f"{verdict}: {reason if gate.value is None else _compared(gate)}"
        return testsuites.skipped(metric, verdict, said)
    return testsuites.erred(metric, verdict, f"{verdict} is no verdict that this form knows")


def _compared(gate: GateResult) -> str:
    """`1.2, at least 1.5 is asked for: why`."""
    value = "no value" if gate.value is None else f"{gate.value:.6g}"
    side = "at most" if BY_TAG[gate.metric].at_most else "at least"
    why = f": {gate.reason}" if gate.reason else ""
    tier = f" ({gate.tier})" if gate.tier else ""
    return f"{value}{tier}, {side} {gate.limit:.6g} is asked for{why}"
