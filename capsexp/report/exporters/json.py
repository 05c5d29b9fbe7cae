"""report.json: all of the report, for programs."""

from __future__ import annotations

import json

import msgspec

from capsexp.results.report import Report

FILE = "report.json"


def render(report: Report) -> str:
    """NaN is an error, as no other program could read it."""
    return json.dumps(msgspec.to_builtins(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
