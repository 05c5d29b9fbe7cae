"""report.md: the same for a page, with pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from capsexp import escape
from capsexp.report import beside, capacities, drawings, placements, racing, sentences, tables
from capsexp.results.report import Report

FILE = "report.md"
PICTURES = drawings.FILES


def render(report: Report) -> str:
    sections = [
        f"# {escape.markdown(report.name)}: {tables.spelled(report.verdict)}",
        escape.markdown(tables.headline(report)),
        *(escape.markdown(line) for line in sentences.sentences(report)),
        *(f"![{_escaped(one.words)}]({one.file})" for one in drawings.of(report)),
        "## Configurations",
        _table(tables.rows(report), [header.replace("\n", " ") for header in tables.headers()]),
        *(escape.markdown(line) for line in (*tables.counted_lines(report), *tables.explained_lines(report))),
        "## Gates",
        _table(tables.gate_rows(report), tables.GATE_HEADERS),
    ]
    if report.capacity:
        sections += ["## Capacity", _table(capacities.rows(report), capacities.HEADERS)]
        if meanings := capacities.meaning_rows(report):
            sections += ["## The meaning of real time", _table(meanings, capacities.MEANING_HEADERS)]
            sections.append(escape.markdown(capacities.EXPLAINED))
        sections += ["## Loads that were tried", _table(capacities.probe_rows(report), capacities.PROBE_HEADERS)]
    if promised := tables.slo_rows(report):
        sections += ["## SLO: what users were promised", _table(promised, tables.SLO_HEADERS)]
    if faults := tables.fault_rows(report):
        headers = [header.replace("\n", " ") for header in tables.FAULT_HEADERS]
        sections += ["## Faults", _table(faults, headers), escape.markdown(tables.FAULTS_EXPLAINED)]
    for title, lines in (
        ("Reference: the same work without a server, or by the server alone", beside.reference_lines(report)),
        ("Out of the race", racing.lines(report)),
        ("Where the time went", beside.timeline_lines(report)),
        ("CPUs and placement", placements.lines(report)),
        ("GPUs", beside.gpu_lines(report)),
        ("Memory in the steady state", beside.leak_lines(report)),
        ("Predicted, not measured", tables.scaling_lines(report)),
    ):
        if lines:
            sections += [f"## {title}", "\n".join(f"- {escape.markdown(line)}" for line in lines)]
    if predicted := tables.predicted_rows(report):
        sections.append(_table(predicted, tables.PREDICTED_HEADERS))
    if machines := tables.machine_table(report):
        sections += [f"## {tables.MACHINES}", _table(machines[1], machines[0])]
    for advice in report.advice:
        server = advice.recommendation and advice.recommendation.server
        if server and server.command:
            where = f" ({escape.markdown(advice.group)})" if advice.group else ""
            sections += [f"## For the server{where}", f"    {escape.one_line(server.command)}"]
            sections += [_fenced(server.yaml)] if server.yaml else []
            sections += [escape.markdown(server.note)] if server.note else []
    if report.warnings:
        sections += ["## Warnings", "\n".join(f"- {escape.markdown(line)}" for line in report.warnings)]
    return "\n\n".join(sections) + "\n"


def pictures(report: Report) -> dict[str, str]:
    return {one.file: drawings.drawn(one) for one in drawings.of(report)}


def _escaped(words: str) -> str:
    """Between brackets."""
    return escape.markdown(words).replace("[", "\\[").replace("]", "\\]")


def _table(rows: list[list[str]], headers: Sequence[str]) -> str:
    return tabulate([[escape.markdown(cell) for cell in row] for row in rows], headers, "pipe", disable_numparse=True)


def _fenced(tree: str) -> str:
    """YAML as it is, in a fence that nothing in it ends."""
    fence = "`" * max([3, *(1 + len(ticks) for ticks in re.findall("`+", tree))])
    return f"{fence}yaml\n{escape.lines(tree)}{fence}"
