"""The pieces of JUnit's form: suites of cases, each with what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as Tree

from capsexp import escape

Element = Tree.Element
_COUNTS = {"tests": "*", "failures": "*/failure", "errors": "*/error", "skipped": "*/skipped"}


def document(name: str, suites: Iterable[Element]) -> str:
    """The whole file."""
    root, found = Tree.Element("testsuites", name=escape.xml(name)), list(suites)
    for kind in ("tests", "failures", "errors"):  # the schema counts what was skipped in suites only
        root.set(kind, str(sum(int(suite.get(kind, 0)) for suite in found)))
    root.extend(found)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, "unicode")}\n'


def suite(root: str, name: str, cases: Iterable[Element]) -> Element:
    """`root`: what all suites of the file are about."""
    found = Tree.Element("testsuite", name=escape.xml(name))
    for case in cases:
        case.set("classname", escape.xml(f"{root}.{name}"))
        found.append(case)
    for count, path in _COUNTS.items():
        found.set(count, str(len(found.findall(path))))
    return found


def passed(name: str, message: str) -> Element:
    case = Tree.Element("testcase", name=escape.xml(name))
    Tree.SubElement(case, "system-out").text = escape.xml(message)
    return case


def failed(name: str, kind: str, message: str) -> Element:
    return _case(name, "failure", kind, message)


def erred(name: str, kind: str, message: str) -> Element:
    return _case(name, "error", kind, message)


def skipped(name: str, kind: str, message: str) -> Element:
    return _case(name, "skipped", kind, message)


def _case(name: str, element: str, kind: str, message: str) -> Element:
    case = Tree.Element("testcase", name=escape.xml(name))
    Tree.SubElement(case, element, type=escape.xml(kind), message=escape.xml(message))
    return case
