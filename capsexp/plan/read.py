"""The runs of a sweep that a plan can be made of."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.analysis.aggregate import Observed
from capsexp.analysis.figures import difference
from capsexp.plan.fit import Measured
from capsexp.report.build import observe
from capsexp.results.read import RunFiles, SweepFiles


def measured(files: SweepFiles, observed: Sequence[Observed] | None = None) -> list[Measured]:
    """Those of our own server that went well, without injected faults, and of which segments were kept; of a
    configuration the valid ones, if it has any."""
    seen = observe(files) if observed is None else observed
    good = [
        (one, Measured(one.run, one.figures, files_.requests, files_.segments, files_.workers, _waited(files_)))
        for one, files_ in zip(seen, files.runs, strict=True)
        if one.figures is not None and one.run.status == "ok" and one.run.server == "local" and one.run.fault == "none"
    ]
    good = [(one, run) for one, run in good if run.recognized]
    valid = {one.run.key for one, _ in good if not one.disturbed}
    return [run for one, run in good if not (one.disturbed and one.run.key in valid)]


def _waited(files: RunFiles) -> float:
    span, rows = files.run.window_s.span, [row for row in files.monitor if row["role"] == "worker"]
    return difference(rows, "runqueue_s", span) if span and rows else 0.0
