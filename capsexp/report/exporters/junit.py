"""report.junit.xml: for the CI that knows JUnit's form. A test suite per configuration, a test case per gate, and one
that says whether its runs were made and count.

What was not decided is skipped, with its reason: a CI that fails on it would fail on noise. Runs that failed, are
missing or do not count are errors.
"""

from __future__ import annotations

from xml.etree import ElementTree as Tree

from capsexp import escape
from capsexp.analysis.aggregate import invalid
from capsexp.analysis.gates import FAIL, INCONCLUSIVE, NOT_JUDGED, PASS
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.validity import codes, kinds
from capsexp.results.report import Configuration, GateResult, Report

FILE = "report.junit.xml"
_COUNTS = {"tests": "*", "failures": "*/failure", "errors": "*/error", "skipped": "*/skipped"}


def render(report: Report) -> str:
    root = Tree.Element("testsuites", name=_text(report.name))
    suites = [_suite(report.name, c) for c in report.configurations]
    for kind in ("tests", "failures", "errors"):  # the schema counts what was skipped in suites only
        root.set(kind, str(sum(int(suite.get(kind, 0)) for suite in suites)))
    root.extend(suites)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, "unicode")}\n'


def _suite(name: str, c: Configuration) -> Tree.Element:
    suite = Tree.Element("testsuite", name=_text(c.key))
    cases = [_runs(c), *(_gate(gate) for gate in c.gates)]
    for case in cases:
        case.set("classname", _text(f"{name}.{c.key}"))
    suite.extend(cases)
    for count, path in _COUNTS.items():
        suite.set(count, str(len(suite.findall(path))))
    return suite


def _runs(c: Configuration) -> Tree.Element:
    """Whether the runs were made and tell anything; without them no gate is worth its verdict."""
    case, validity = Tree.Element("testcase", name="runs"), c.validity
    if c.status != "ok":
        _say(case, "error", c.status, "; ".join(c.errors) or c.status)
    elif c.incomplete:
        _say(case, "error", "missing", c.incomplete)
    elif why := invalid(c):
        reasons = dict.fromkeys(reason.reason for run in validity.runs for reason in run.reasons)
        _say(case, "error", "INVALID", f"{why}: {'; '.join(reasons)}")
    else:
        left_out = f", {validity.invalid} left out: {kinds(codes([c]))}" if validity.invalid else ""
        _add(case, "system-out").text = _text(f"{validity.valid} valid{left_out}")
    return case


def _gate(gate: GateResult) -> Tree.Element:
    case, verdict = Tree.Element("testcase", name=_text(gate.metric)), gate.verdict
    reason = gate.reason or "no reason given"
    if verdict == PASS:
        _add(case, "system-out").text = _text(_compared(gate))
    elif verdict == FAIL:
        _say(case, "failure", verdict, _compared(gate))
    elif verdict in (INCONCLUSIVE, NOT_JUDGED):
        _say(case, "skipped", verdict, f"{verdict}: {reason if gate.value is None else _compared(gate)}")
    else:
        _say(case, "error", verdict, f"{verdict} is no verdict that this form knows")
    return case


def _compared(gate: GateResult) -> str:
    """`1.2, at least 1.5 is asked for: why`."""
    value = "no value" if gate.value is None else f"{gate.value:.6g}"
    side = "at most" if BY_TAG[gate.metric].at_most else "at least"
    why = f": {gate.reason}" if gate.reason else ""
    tier = f" ({gate.tier})" if gate.tier else ""
    return f"{value}{tier}, {side} {gate.limit:.6g} is asked for{why}"


def _say(case: Tree.Element, element: str, kind: str, message: str) -> None:
    said = _add(case, element)
    said.set("type", _text(kind))
    said.set("message", _text(message))


def _add(case: Tree.Element, element: str) -> Tree.Element:
    return Tree.SubElement(case, element)


def _text(text: object) -> str:
    """Without what XML 1.0 has no way to hold, and without what is not seen where it stands."""
    return escape.one_line(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
