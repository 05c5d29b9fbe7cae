"""What a report says of a race (search=race): who is out, since when and why."""

from __future__ import annotations

from capsexp.counts import counted
from capsexp.results.report import Report


def lines(report: Report) -> list[str]:
    """A line for each configuration that is out."""
    return [
        f"{c.key}: out after {counted(c.dropped.trials, 'run')}: {c.dropped.why}"
        for c in report.configurations
        if c.dropped
    ]
