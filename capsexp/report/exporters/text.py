"""report.txt: what the terminal shows."""

from __future__ import annotations

from tabulate import tabulate

from capsexp import escape
from capsexp.analysis.texts import EXPLAINED
from capsexp.report import sentences, tables
from capsexp.results.report import Report

FILE = "report.txt"


def render(report: Report) -> str:
    sides = ("left", *("right",) * (len(tables.HEADERS) - 2), "left")
    parts = [
        f"capsexp: {report.name}",
        tables.headline(report),
        "",
        tabulate(tables.rows(report), tables.HEADERS, disable_numparse=True, colalign=sides),
        *tables.counted_lines(report),
        "",
        tabulate(tables.gate_rows(report), tables.GATE_HEADERS, disable_numparse=True),
        "",
    ]
    if faults := tables.fault_rows(report):
        parts += [tabulate(faults, tables.FAULT_HEADERS, disable_numparse=True), tables.FAULTS_EXPLAINED, ""]
    metrics = {c.memory_metric for c in report.configurations if c.memory_metric}
    if metrics:
        name = "/".join(sorted(metrics)).upper()
        parts.append(
            f"Memory is {name} summed over the server's processes; speedup is against the sweep's own baseline."
        )
    if any(c.value("wer") is not None for c in report.configurations):
        parts.append(EXPLAINED)
    parts += _list("Without a server (reference):", tables.reference_lines(report))
    parts += _list("Where the time went:", tables.timeline_lines(report))
    parts += _list("GPUs:", tables.gpu_lines(report))
    parts += _list("Memory in the steady state:", tables.leak_lines(report))
    parts += _list("Predicted, not measured, from what was:", tables.scaling_lines(report))
    if predicted := tables.predicted_rows(report):
        parts += ["", tabulate(predicted, tables.PREDICTED_HEADERS, disable_numparse=True)]
    machines = tables.machine_table(report)
    if machines:
        parts += ["", f"{tables.MACHINES}:"]
        parts += [tabulate(machines[1], machines[0], disable_numparse=True)]
    parts += ["", *(f"Warning: {line}" for line in report.warnings)] if report.warnings else []
    parts += ["", *sentences.sentences(report)]
    parts += sentences.start_lines(report)
    return escape.lines("\n".join([*parts, ""]))


def _list(title: str, lines: list[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)] if lines else []
