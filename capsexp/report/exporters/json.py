"""report.json: all of the report, for programs."""

from __future__ import annotations

import json
from typing import Any

FILE = "report.json"


def render(report: dict[str, Any]) -> str:
    """NaN is an error, as no other program could read it."""
    return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
