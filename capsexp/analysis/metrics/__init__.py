"""Every metric, declared once: its tag, unit, direction, definition, headers, how trials become one value, how a limit
is judged, how two sweeps are compared by it, and where it is shown. Gates, tables, thresholds, comparisons and the
reference page are made of this list: a further metric is a further entry in one of the files beside this. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from capsexp.analysis.combine import Evidence, Pick
from capsexp.analysis.metrics.durations import DURATIONS
from capsexp.analysis.metrics.memory import MEMORY
from capsexp.analysis.metrics.metric import Metric, Place
from capsexp.analysis.metrics.speed import CPU, OFFERED, SPEED
from capsexp.analysis.metrics.texts import TEXTS
from capsexp.results.report import Estimate

BY_TAG: dict[str, Metric] = {}
METRICS = BY_TAG.values()
GATED: dict[str, Metric] = {}


def declare(metric: Metric) -> None:
    """Raises ValueError where there is one of this tag."""
    if metric.tag in BY_TAG:
        raise ValueError(f"there are two metrics {metric.tag}")
    BY_TAG[metric.tag] = metric
    if metric.gate is not None:
        GATED[metric.tag] = metric


def compute(own: Evidence, baseline: Evidence | None) -> dict[str, Estimate]:
    """All metrics of a configuration by tag."""
    return {metric.tag: metric.combined.compute(own, baseline) for metric in METRICS}


def at(place: Place) -> list[Metric]:
    """Those that are shown there, in their order."""
    return [metric for metric in METRICS if place in metric.places]


def compared(timed: bool, checked: bool = False) -> Iterator[tuple[Metric, Pick]]:
    """Those by whose values in single trials two sweeps are compared (or `checked`) whose load is `timed` or not, with
    what takes that of a trial."""
    for metric in METRICS:
        how, pick = metric.compared, metric.combined.trial
        if how and pick and (how.timed if timed else how.untimed) and (how.checked or not checked):
            yield metric, pick


def compared_by_sample() -> list[Metric]:
    """Error rates; of them the first that is known."""
    return [metric for metric in METRICS if metric.compared and metric.compared.by_sample]


def chinese() -> dict[str, str]:
    """What the page says of metrics, by the English."""
    return {english: zh for metric in METRICS for english, zh in metric.chinese.items()}


for _each in (*SPEED, *MEMORY, *TEXTS, *DURATIONS, *OFFERED, *CPU):
    declare(_each)
