"""report.junit.xml: for the CI that knows JUnit's form. A test suite per configuration, a test case per gate and per
limit of the SLO, and one that says whether its runs were made and count. A search for a capacity has a suite per band
instead of the limits: of the loads that it tries some have to break them.

What was not decided is skipped, with its reason: a CI that fails on it would fail on noise. Runs that failed, are
missing or do not count are errors.
"""

from __future__ import annotations

from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.validity import codes, kinds
from capsexp.analysis.verdicts import invalid
from capsexp.counts import once
from capsexp.report import capacities, testsuites
from capsexp.report.testsuites import Element
from capsexp.results.report import Capacity, Configuration, GateResult, Report, SloResult
from capsexp.results.verdicts import Reading, Status, Verdict

FILE = "report.junit.xml"


def render(report: Report) -> str:
    suites = [_suite(report.name, c, with_slo=not report.capacity) for c in report.configurations]
    suites += [testsuites.suite(report.name, f"capacity of {one.key}", [_band(one)]) for one in report.capacity]
    return testsuites.document(report.name, suites)


def _suite(name: str, c: Configuration, with_slo: bool) -> Element:
    promised = [_limit(limit) for limit in c.slo] if with_slo else []
    return testsuites.suite(name, c.key, [_runs(c), *(_gate(gate) for gate in c.gates), *promised])


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
    said = (gate.reason or "no reason given") if _is_open(gate.verdict) and gate.value is None else _compared(gate)
    return _case(gate.metric, gate.verdict, said)


def _limit(one: SloResult) -> Element:
    """Of what users were promised."""
    value = "no value" if one.value is None else f"{one.value:.6g}"
    why = f": {one.reason}" if one.reason else ""
    return _case(f"slo {one.name}", one.verdict, f"{value}, at most {one.limit:.6g} was promised{why}")


def _band(one: Capacity) -> Element:
    """Passed where it carries anything: how much is enough nobody has said."""
    tried = Reading.FAIL if one.infeasible_min is not None else Reading.INCONCLUSIVE
    return _case("capacity", Reading.PASS if one.feasible_max else tried, " ".join(capacities.of(one)))


def _is_open(verdict: Reading) -> bool:
    return verdict in (Reading.INCONCLUSIVE, Reading.NOT_JUDGED)


def _case(name: str, verdict: Reading, said: str) -> Element:
    if verdict == Reading.PASS:
        return testsuites.passed(name, said)
    if verdict == Reading.FAIL:
        return testsuites.failed(name, verdict, said)
    if _is_open(verdict):
        return testsuites.skipped(name, verdict, f"{verdict}: {said}")
    return testsuites.erred(name, verdict, f"{verdict} is no verdict that this form knows")


def _compared(gate: GateResult) -> str:
    """`1.2, at least 1.5 is asked for: why`."""
    value = "no value" if gate.value is None else f"{gate.value:.6g}"
    side = "at most" if BY_TAG[gate.metric].at_most else "at least"
    why = f": {gate.reason}" if gate.reason else ""
    tier = f" ({gate.tier})" if gate.tier else ""
    return f"{value}{tier}, {side} {gate.limit:.6g} is asked for{why}"
