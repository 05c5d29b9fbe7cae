"""Writes the pages that are made from the code: `python docs/generate.py`. A test fails where they are not current."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from tabulate import tabulate

from capsexp.analysis.metrics import METRICS
from capsexp.results.report import Report

ROOT = Path(__file__).resolve().parent.parent


def metrics_page() -> str:
    """docs/metrics.md."""
    rows = [
        [
            f"`{m.tag}`", m.unit or "-", m.better, "" if m.gate is None else "at most" if m.at_most else "at least",
            m.definition,
        ]
        for m in METRICS
    ]  # fmt: skip
    table = tabulate(rows, ("tag", "unit", "better", "limit", "definition"), "pipe", disable_numparse=True)
    return (
        "# Metrics\n\n"
        "Made from the code by `python docs/generate.py`. A metric with a limit is a gate as soon as "
        "`thresholds.<tag>` is set. In report.json each has `value`, `ci95` (a 95 % interval, or null), `n` and `of` "
        "(what there are `n` of: trials, pairs of trials, requests or samples). MB are 2**20 bytes; memory is PSS "
        "summed over the server's processes (USS where the system tells no PSS), shares go from 0 to 1.\n\n"
        f"{table}\n"
    )


def schema() -> str:
    """capsexp/results/report.schema.json."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Report)}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


PAGES = {"docs/metrics.md": metrics_page, "capsexp/results/report.schema.json": schema}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), "utf-8")
