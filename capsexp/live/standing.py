"""How the configurations of a sweep stand so far: the figures, and what is open of them with what would decide it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capsexp.analysis import slo, validity
from capsexp.counts import counted, once
from capsexp.results.report import Configuration, GateResult
from capsexp.results.verdicts import Reading, Status, Verdict


@dataclass(frozen=True)
class Standing:
    """Of one configuration, in words; `said`: how it would be judged now, or what would decide it."""

    key: str
    trials: int
    speedup: str
    throughput: str
    memory: str
    right: str
    said: str
    tone: str  # good, bad, open or plain
    disturbed: bool = False  # so that runs of it may be repeated


def standings(configurations: Sequence[Configuration]) -> tuple[Standing, ...]:
    """Of those that have had a run."""
    return tuple(_of(c) for c in configurations if c.status != Status.MISSING)


def _of(c: Configuration) -> Standing:
    speedup, right = c.metric("speedup"), c.requests.identical
    known = f" ({speedup.ci95[0]:.2f} to {speedup.ci95[1]:.2f})" if speedup.ci95 else ""
    said, tone = _judged(c)
    return Standing(
        key=c.key,
        trials=c.trials,
        speedup="-" if speedup.value is None else f"{speedup.value:.2f}{known}",
        throughput=_number(c.value("throughput_rtfx"), 2),
        memory=_number(c.value("peak_memory_mb"), 0),
        right="-" if right is None else f"{right}/{c.requests.total}",
        said=said,
        tone=tone,
        disturbed=bool(c.validity.invalid),
    )


def _judged(c: Configuration) -> tuple[str, str]:
    if c.status != Status.OK:
        return f"{c.status}: {once(c.errors)}" if c.errors else c.status, "bad"
    failed = [_figure(gate) for gate in c.gates if gate.verdict == Reading.FAIL]
    if failed := [*failed, *slo.missed(c.slo)]:
        return f"fails: {', '.join(failed)}", "bad"
    if disturbed := list(_disturbed(c)):
        return "; ".join(disturbed), "bad"
    if undecided := [gate for gate in c.gates if gate.verdict == Reading.INCONCLUSIVE]:
        return "; ".join(map(_open, undecided)), "open"
    if late := [one for one in c.slo if one.verdict == Reading.INCONCLUSIVE]:
        return "; ".join(f"{one.name}: {one.reason}" for one in late), "open"
    if c.verdict == Verdict.BASELINE:
        return "what others are compared with", "plain"
    return "passes so far", "good"


def _disturbed(c: Configuration) -> Iterator[str]:
    if not c.validity.valid and c.validity.invalid:
        found = {reason.code: reason.reason for run in c.validity.runs for reason in run.reasons}
        yield f"{validity.kinds(found)}: {'; '.join(found.values())}"


def _figure(gate: GateResult) -> str:
    value = "-" if gate.value is None else f"{gate.value:.2f}"
    return f"{_name(gate)} {value} (limit {gate.limit:g})"


def _name(gate: GateResult) -> str:
    return gate.metric.replace("_", " ")


def _open(gate: GateResult) -> str:
    """What is not decided, and what would decide it."""
    what = _figure(gate) if gate.value is not None else _name(gate)
    if gate.more is not None:
        return f"{what}: about {counted(max(1, gate.more), 'more trial')} would decide it"
    return f"{what}: {gate.reason}" if gate.reason else f"{what}: more trials"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
