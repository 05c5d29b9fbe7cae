"""A report at a glance: the question, and what the answer rests on. The forms that people read begin with it."""

from __future__ import annotations

from dataclasses import dataclass

from capsexp.analysis import metrics
from capsexp.analysis.metrics import BY_TAG
from capsexp.analysis.metrics.metric import Place
from capsexp.report.tables import interval, measured, number
from capsexp.results.report import Configuration, GateResult, Report
from capsexp.results.verdicts import Reading, Status

QUESTIONS = (
    "How does this server perform on this machine?",
    "Do more recognizer workers pay on this machine, and how many?",
    "What do injected faults do to this server?",
)

CARRIED = "How many users can this server serve at once within the SLO?"


@dataclass(frozen=True)
class Item:
    """`name`: of the metric, without its unit, which the value has; `bound`: the limit, of which `at_most` says the
    side; `reading` and `why`: the gate's, which is where they come from; empty without one."""

    name: str
    value: str
    bound: str = ""
    at_most: bool = False
    reading: str = ""
    why: str = ""

    @property
    def limit(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound}" if self.bound else ""

    @property
    def judged(self) -> bool:
        return self.reading not in ("", Reading.NOT_JUDGED)


def question(report: Report) -> str:
    """What the sweep asks: whether numbers of workers are compared, or faults injected, or it only says how something
    did."""
    if report.capacity:
        return CARRIED
    workers, faults = {c.workers for c in report.configurations}, any(map(_struck, report.configurations))
    return QUESTIONS[1 if len(workers) > 1 else 2 if faults else 0]


def _struck(c: Configuration) -> bool:
    return c.fault.kind != "none"


def subjects(report: Report) -> list[Configuration]:
    """What the answer is about: the recommended (or likely) configuration, and where that adds no workers, the fastest
    that does; without any the first one. Then the first into which faults were injected."""
    chosen = next((one.recommendation.key for one in report.advice if one.recommendation), None)
    found = [c for c in report.configurations if c.key == chosen]
    ran = [c for c in report.configurations if c.status == Status.OK]
    added = [c for c in ran if c.baseline != c.key and c.adds_workers]
    if added and not any(c in added for c in found):
        found.append(max(added, key=lambda c: c.value("throughput_rtfx") or 0.0))
    struck = [c for c in ran if _struck(c) and c not in found][:1]
    return (found or ran[:1] or list(report.configurations[:1])) + [c for c in struck if c not in ran[:1] or found]


def items(c: Configuration) -> list[Item]:
    """What | value | limit | reading of one configuration: its gates, without those of a gain that a baseline has not,
    then what has no limit."""
    found = [
        _judged(c, gate)
        for gate in c.gates
        if gate.value is not None or c.baseline != c.key or gate.verdict == Reading.FAIL
    ]
    known = {gate.metric for gate in c.gates}
    others = [m for m in metrics.at(Place.GLANCE) if m.tag not in known and c.value(m.tag) is not None]
    return [*_of_faults(c), *found, *(Item(metric.name, value(c, metric.tag)) for metric in others)]


def _of_faults(c: Configuration) -> list[Item]:
    """What became of requests while faults were injected."""
    f = c.fault
    counts = {"faults injected": f.injected, "requests lost": f.lost, "requests wrong": f.wrong}
    times = {"recovery, median": (f.recovery_s.median, " s"), "slowdown": (f.slowdown, "x")}
    return [Item(name, str(count)) for name, count in counts.items() if _struck(c) and count is not None] + [
        Item(name, f"{number(of)}{unit}") for name, (of, unit) in times.items() if _struck(c) and of is not None
    ]


def _judged(c: Configuration, gate: GateResult) -> Item:
    metric = BY_TAG[gate.metric]
    bound = measured(gate.metric, gate.limit)
    said = value(c, gate.metric, gate.limit) if gate.value is not None else "-"
    return Item(metric.name, said, bound, metric.at_most, gate.verdict, gate.reason or "")


def value(c: Configuration, tag: str, beside: float | None = None) -> str:
    """With its unit and, where it is an estimate, its 95 % interval."""
    one, metric = c.metric(tag), BY_TAG[tag]
    spread = f" ({interval(one.ci95, metric.digits)})" if one.ci95 and not metric.percent else ""
    return measured(tag, one.value, beside) + spread
