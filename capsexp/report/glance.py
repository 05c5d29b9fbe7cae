"""A report at a glance: the question, and what the answer rests on. The forms that people read begin with it."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.analysis.metrics import BY_TAG
from capsexp.report.tables import interval, shown
from capsexp.results.report import Configuration, GateResult, Report

# Beside what limits are set on: what somebody who asks for workers wants to know.
ALSO = ("throughput_rtfx", "latency_p50_s", "latency_p95_s", "wer", "cer")


@dataclass(frozen=True)
class Item:
    """`tag`: of the metric; `limit` and `reading`: of the gate, which is where they come from; empty without one."""

    tag: str
    value: str
    limit: str = ""
    reading: str = ""
    why: str = ""


def asks_for_workers(report: Report) -> bool:
    """Whether numbers of workers are compared; else a report only says how something did."""
    return len({c.workers for c in report.configurations}) > 1


def subject(report: Report) -> Configuration | None:
    """The configuration that the answer is about: the recommended (or likely) one, else the fastest that was compared
    with a baseline, else the first."""
    for advice in report.advice:
        chosen = advice.recommendation
        if chosen:
            return next((c for c in report.configurations if c.key == chosen.key), None)
    ran = [c for c in report.configurations if c.status == "ok"]
    compared = [c for c in ran if c.baseline != c.key and c.adds_workers]
    return max(compared or ran or report.configurations, key=_speed, default=None)


def _speed(c: Configuration) -> float:
    return c.value("throughput_rtfx") or 0.0


def items(c: Configuration) -> list[Item]:
    """What | value | limit | reading of one configuration: its gates, then what has no limit."""
    found = [_judged(c, gate) for gate in c.gates]
    known = {gate.metric for gate in c.gates}
    return found + [Item(tag, value(c, tag)) for tag in ALSO if tag not in known and c.value(tag) is not None]


def _judged(c: Configuration, gate: GateResult) -> Item:
    metric = BY_TAG[gate.metric]
    limit = f"{'at most' if metric.at_most else 'at least'} {shown(gate.metric, gate.limit)}{unit(gate.metric)}"
    said = value(c, gate.metric) if gate.value is not None else "-"
    return Item(gate.metric, said, limit, gate.verdict, gate.reason or "")


def value(c: Configuration, tag: str) -> str:
    """With its unit and, where it is an estimate, its 95 % interval."""
    one, metric = c.metric(tag), BY_TAG[tag]
    if one.value is None:
        return "-"
    spread = f" ({interval(one.ci95, metric.digits)})" if one.ci95 and not metric.percent else ""
    return f"{shown(tag, one.value)}{unit(tag)}{spread}"


def unit(tag: str) -> str:
    metric = BY_TAG[tag]
    found = "%" if metric.percent else "" if metric.unit == "RTFx" else metric.unit
    return found if found in ("x", "") else f" {found}"
