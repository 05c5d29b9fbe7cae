"""report.prom: for the textfile collector of Prometheus's node exporter, in the text exposition format 0.0.4.

A gauge for each metric, labelled with sweep and configuration; memory in bytes, as Prometheus wants base units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from capsexp import escape
from capsexp.analysis.metrics import METRICS
from capsexp.analysis.metrics.metric import Metric
from capsexp.results.report import Configuration, Report
from capsexp.results.verdicts import Reading

FILE = "report.prom"
_MB = 2**20


def render(report: Report) -> str:
    labels = {c.key: _labels({"sweep": report.name, "configuration": c.key}) for c in report.configurations}
    lines = [line for metric in METRICS for line in _metric(metric, report, labels)]
    lines += _family("verdict", "The verdict on a configuration, as the label says.", [
        (_labels({"sweep": report.name, "configuration": c.key, "verdict": c.verdict}), 1)
        for c in report.configurations
    ])  # fmt: skip
    lines += _family("gate_passed", "Whether a metric keeps its limit; absent where that is not decided.", [
        (_labels({"sweep": report.name, "configuration": c.key, "metric": gate.metric}),
         int(gate.verdict == Reading.PASS))
        for c in report.configurations for gate in c.gates if gate.verdict in (Reading.PASS, Reading.FAIL)
    ])  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def _metric(metric: Metric, report: Report, labels: Mapping[str, str]) -> Iterator[str]:
    """The value, and the ends of its 95 % interval."""
    name, factor = re.sub("_mb(?=$|_)", "_bytes", metric.tag), _MB if metric.unit.startswith("MB") else 1

    def of(c: Configuration, end: int) -> float | None:
        one = c.metric(metric.tag)
        value = one.value if end < 0 else one.ci95[end] if one.ci95 else None
        return None if value is None else factor * value

    for end, suffix, what in ((-1, "", ""), (0, "_ci95_low", "Lower end of the 95 % interval. "),
                              (1, "_ci95_high", "Upper end of the 95 % interval. ")):  # fmt: skip
        found = [(labels[c.key], v) for c in report.configurations if (v := of(c, end)) is not None]
        yield from _family(f"{name}{suffix}", f"{what}{metric.definition}", found)


def _family(name: str, about: str, samples: list[tuple[str, float]]) -> list[str]:
    if not samples:
        return []
    about = about.replace("\\", r"\\").replace("\n", r"\n")
    head = [f"# HELP capsexp_{name} {about}", f"# TYPE capsexp_{name} gauge"]
    return head + [f"capsexp_{name}{labels} {value!r}" for labels, value in samples]


def _labels(values: Mapping[str, str]) -> str:
    """Foreign text is one line, with what the form itself gives a meaning escaped."""
    each = (f'{name}="{_quoted(value)}"' for name, value in values.items())
    return f"{{{','.join(each)}}}"


def _quoted(value: str) -> str:
    return escape.one_line(value).replace("\\", r"\\").replace('"', r"\"")
