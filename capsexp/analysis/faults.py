"""What injected faults did to a run: what was lost, what was recognized again, how long until the server was whole
again, and how fast it was meanwhile. Pure. Times in seconds on the run's clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec

from capsexp.analysis.figures import Figures, stands_for
from capsexp.analysis.timeline import covered
from capsexp.results.recovery import back_at, by_fault, ends_worker, recoveries
from capsexp.results.report import Configuration, FaultSummary, Recovery
from capsexp.results.rows import FaultRow, RequestRow, SegmentRow, WorkerRow
from capsexp.results.run import Run

Span = tuple[float, float]

FOREIGN = "fault-"  # begins the ids of tasks of clients that misbehave
TOLD = "the server answered:"  # begins the error of a request that the server ended with one


@dataclass(frozen=True)
class Effect:
    """What faults did to one run. `told`: lost requests of which the server said so; `again`: segments recognized
    again; a recovery is None where it was not seen."""

    injected: int | None = None
    lost: int | None = None
    told: int | None = None
    duplicated: int | None = None
    wrong: int | None = None
    again: int | None = None
    recoveries_s: tuple[float | None, ...] = ()
    throughput_rtfx: float | None = None


def effect(
    run: Run,
    figures: Figures | None,
    requests: Sequence[RequestRow],
    segments: Sequence[SegmentRow],
    events: Sequence[WorkerRow],
    deeds: Sequence[FaultRow],
    wrong_count: int | None,
) -> Effect:
    """Of one run. `wrong_count`: requests that are not right, whatever the reason."""
    # A client that misbehaves has tasks of its own. With hours= not every request has a row by which to know its own.
    mine = [s for s in segments if not str(s["task_id"]).startswith(FOREIGN)]
    figures = figures or Figures()
    every = figures.segments_every
    lost = [r for r in requests if r["status"] != "ok"]
    twice = [r for r in requests if r["status"] == "ok" and (r["finals"] != 1 or r["foreign"])]
    spans = _spans(deeds, events, run.window_s.start, run.window_s.end)
    return Effect(
        injected=len(by_fault(deeds)),
        lost=_number(lost),
        told=_number([r for r in lost if str(r["error"] or "").startswith(TOLD)]),
        duplicated=_number(twice),
        wrong=None if wrong_count is None else max(0, wrong_count - _number(lost) - _number(twice)),
        again=_again(mine, figures) if segments else None,
        recoveries_s=() if run.keeps_away else tuple(recoveries(deeds, events)),
        throughput_rtfx=_throughput(mine, spans, every),
    )


def _number(requests: Sequence[RequestRow]) -> int:
    return sum(map(stands_for, requests))


def _again(segments: Sequence[SegmentRow], figures: Figures) -> int:
    """Of a table that was thinned out the server's own count, which knows of no tasks."""
    return figures.retries if figures.segments_every > 1 else sum(s["retries"] or 0 for s in segments)


def _spans(
    deeds: Sequence[FaultRow], events: Sequence[WorkerRow], start: float | None, end: float | None
) -> list[Span]:
    """When the server was harmed, inside of the load: until it was whole again, or until the deed was over."""
    if start is None or end is None:
        return []
    found = []
    for deed in deeds:
        until = back_at(deed, events) if ends_worker(deed, events) else deed["until_s"]
        found.append((max(start, deed["time_s"]), min(end, end if until is None else until)))
    return [span for span in found if span[1] > span[0]]


def _throughput(segments: Sequence[SegmentRow], spans: Sequence[Span], every: int) -> float | None:
    """Seconds of new audio recognized per second of `spans`; a segment's is spread over its time on a worker, and each
    stands for `every` many."""
    if not spans or not segments:  # a server that is not ours tells nothing of its segments
        return None
    length = covered(spans, (min(s[0] for s in spans), max(s[1] for s in spans)))
    audio = 0.0
    for s in segments:
        if s["status"] == "ok" and s["finished_s"] is not None:
            took = s["finished_s"] - s["started_s"]
            if took > 0:
                audio += s["new_s"] * covered(spans, (s["started_s"], s["finished_s"])) / took
            elif any(a <= s["finished_s"] <= b for a, b in spans):
                audio += s["new_s"]
    return audio * every / length


def summary(kind: str, effects: Iterable[Effect]) -> FaultSummary:
    """Of a configuration, over its trials: counts are summed."""
    runs = list(effects)
    took = [seconds for run in runs for seconds in run.recoveries_s]
    known = [seconds for seconds in took if seconds is not None]
    fast = [run.throughput_rtfx for run in runs if run.throughput_rtfx is not None]
    return FaultSummary(
        kind=kind,
        injected=_total(run.injected for run in runs),
        lost=_total(run.lost for run in runs),
        told=_total(run.told for run in runs),
        duplicated=_total(run.duplicated for run in runs),
        wrong=_total(run.wrong for run in runs),
        again=_total(run.again for run in runs),
        recovery_s=Recovery(median=median(known) if known else None, max=max(known, default=None)),
        unrecovered=len(took) - len(known),
        throughput_rtfx=median(fast) if fast else None,
    )


def _total(counts: Iterable[int | None]) -> int | None:
    """None as soon as one of them is not known."""
    every = list(counts)
    known = [count for count in every if count is not None]
    return sum(known) if len(known) == len(every) else None


def against_unharmed(one: Configuration, unharmed: Configuration) -> FaultSummary:
    """With the one that differs only in having no fault, and how many times as long the same requests took."""
    mine, theirs = one.value("makespan_s"), unharmed.value("makespan_s")
    slowdown = mine / theirs if mine and theirs else None
    return msgspec.structs.replace(one.fault, without=unharmed.key, slowdown=slowdown)
