"""report.md: the same for a page."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from capsexp.report import tables


def render(report: dict[str, Any]) -> str:
    sections = [
        f"# {_escape(report['name'])}: {report['verdict']}",
        _escape(tables.headline(report)),
        *(_escape(line) for line in tables.sentences(report)),
        "## Configurations",
        tabulate(
            [[_escape(cell) for cell in row] for row in tables.rows(report)],
            [header.replace("\n", " ") for header in tables.HEADERS],
            "pipe",
            disable_numparse=True,
        ),
        "## Gates",
        tabulate(
            [[_escape(cell) for cell in row] for row in tables.gate_rows(report)],
            tables.GATE_HEADERS,
            "pipe",
            disable_numparse=True,
        ),
    ]
    control = tables.control_lines(report)
    if control:
        sections += ["## Control: the same work without a server", "\n".join(f"- {_escape(line)}" for line in control)]
    if report["warnings"]:
        sections += ["## Warnings", "\n".join(f"- {_escape(line)}" for line in report["warnings"])]
    return "\n\n".join(sections) + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
