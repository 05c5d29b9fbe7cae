"""report.prom: for the textfile collector of Prometheus's node exporter, in the text exposition format 0.0.4.

A gauge for each metric, labelled with sweep and configuration; memory in bytes, as Prometheus wants base units.
What users were promised has a label for the limit, what a search found of a configuration one for what real time means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from capsexp import escape
from capsexp.analysis.metrics import METRICS
from capsexp.analysis.metrics.metric import Metric
from capsexp.results.report import Capacity, Configuration, Meaning, Report, SloResult
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
    lines += [*_slo(report), *_capacity(report)]
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


def _slo(report: Report) -> Iterator[str]:
    def family(name: str, about: str, of: Callable[[SloResult], float | None]) -> list[str]:
        return _family(name, about, [
            (_labels({"sweep": report.name, "configuration": c.key, "limit": one.name}), value)
            for c in report.configurations for one in c.slo if (value := of(one)) is not None
        ])  # fmt: skip

    decided = (Reading.PASS, Reading.FAIL)
    yield from family("slo_kept", "Whether what users were promised is kept; absent where that is not decided.",
                      lambda one: int(one.verdict == Reading.PASS) if one.verdict in decided else None)  # fmt: skip
    yield from family("slo_late_share", "Share of requests beyond the limit.",
                      lambda one: one.late / one.requests if one.requests else None)  # fmt: skip
    for end, suffix, which in ((0, "low", "Lower"), (1, "high", "Upper")):
        yield from family(f"slo_late_share_ci95_{suffix}", f"{which} end of the 95 % interval of that share.",
                          lambda one, end=end: one.late_ci[end] if one.late_ci else None)  # type: ignore[misc]  # fmt: skip
    yield from family("slo_late_share_allowed", "Share of requests that may be beyond it.", lambda one: one.allowed)


def _capacity(report: Report) -> Iterator[str]:
    """The ends of each band. The SLO's own has `meaning="slo"`."""
    bands: list[tuple[Capacity, str, Capacity | Meaning]] = []
    for one in report.capacity:
        bands += [(one, "slo", one), *((one, meaning.name, meaning) for meaning in one.meanings)]
    for name, about, of in (
        ("feasible_max", "The most load (users or requests per second, as the label says) that kept its promises.",
         lambda band: band.feasible_max),
        ("infeasible_min", "The least load that broke a promise; absent where none did.",
         lambda band: band.infeasible_min),
        ("resolved", "Whether nothing in the band is left to try.", lambda band: int(band.resolved)),
    ):  # fmt: skip
        yield from _family(f"capacity_{name}", about, [
            (_labels({"sweep": report.name, "configuration": one.key, "over": one.over, "meaning": meaning}), value)
            for one, meaning, band in bands if (value := of(band)) is not None
        ])  # fmt: skip


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
