"""report.txt: what the terminal shows."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from capsexp.report import tables


def render(report: dict[str, Any]) -> str:
    parts = [
        f"capsexp: {report['name']}",
        tables.headline(report),
        "",
        tabulate(
            tables.rows(report), tables.HEADERS, disable_numparse=True, colalign=("left", *("right",) * 14, "left")
        ),
        "",
        tabulate(tables.gate_rows(report), tables.GATE_HEADERS, disable_numparse=True),
        "",
    ]
    metrics = {c["memory"]["metric"] for c in report["configurations"]} - {None}
    if metrics:
        name = "/".join(sorted(metrics)).upper()
        parts.append(
            f"Memory is {name} summed over the server's processes; speedup is against the sweep's own baseline."
        )
    control = tables.control_lines(report)
    if control:
        parts += ["Without a server (control):", *(f"  {line}" for line in control)]
    parts += [f"Warning: {line}" for line in report["warnings"]]
    parts += ["", *tables.sentences(report), ""]
    return "\n".join(parts)
