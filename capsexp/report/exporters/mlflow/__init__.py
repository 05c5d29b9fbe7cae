"""report.mlflow.json: what MLflow is told of a sweep: a run for each configuration, with its settings, metrics and
verdict. The file needs no MLflow; `python -m capsexp.report.exporters.mlflow FOLDER` logs it to your tracking server.

That is a command and no part of a report, so that a report is the same bytes when it is made again, and an archive of
somebody else's sends nothing anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from capsexp import escape
from capsexp.results.report import Configuration, Report

FILE = "report.mlflow.json"
EXPERIMENT = "capsexp"
LONGEST = 500  # characters of a value, of which MLflow takes no more everywhere
_PARAMETERS = (
    "workers", "workers_requested", "threads", "pool", "placement", "engine", "target", "load", "dispatch", "schedule",
    "trials",
)  # fmt: skip


def render(report: Report) -> str:
    told = {"experiment": EXPERIMENT, "runs": [_run(report, c) for c in report.configurations]}
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _run(report: Report, c: Configuration) -> dict[str, Any]:
    """`capsexp.digest`: of all that is told, by which a run that is there already is known."""
    parameters = {name: _text(value) for name in _PARAMETERS if (value := getattr(c, name)) is not None}
    metrics = {}
    for tag, one in c.metrics.items():
        if one.value is not None:
            metrics[tag] = one.value
        if one.ci95 is not None:
            metrics[f"{tag}.ci95_low"], metrics[f"{tag}.ci95_high"] = one.ci95
    tags = {"capsexp.sweep": report.name, "capsexp.verdict": c.verdict, "capsexp.status": c.status}
    tags |= {f"capsexp.gate.{gate.metric}": gate.verdict for gate in c.gates}
    if cpu := report.environment.get("cpu"):
        tags["capsexp.cpu"] = cpu
    found: dict[str, Any] = {
        "name": _text(c.key), "params": parameters, "metrics": metrics,
        "tags": {re.sub(r"[^\w.]", "_", name): _text(value) for name, value in tags.items()},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    found["tags"]["capsexp.digest"] = digest
    return found


def _text(value: object) -> str:
    return escape.one_line(value)[:LONGEST]
