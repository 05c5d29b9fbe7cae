"""What users feel, from when things were due and not from when a late client did them: stop-to-text, lag, lateness,
what was offered, achieved and late, and requests in flight. Pure.

A ramp is looked at step by step and a mixed load class by class: an average over them is nobody's experience.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from capsexp.results.report import LoadPart
from capsexp.results.rows import PacketRow, RequestRow
from capsexp.results.run import ClientFacts

FEWEST = {"p50": (50, 1), "p90": (90, 64), "p95": (95, 130), "p99": (99, 662)}  # requests that a percentile needs


@dataclass(frozen=True)
class Part:
    """A class of requests within a step: raw, so that trials can be put together. `stop_to_text_s` is from
    when it was due, `turnaround_s` as below; rates are seconds of audio per second."""

    kind: str | None
    step: int | None
    requests: int
    completed: int
    offered_rtfx: float | None
    achieved_rtfx: float | None
    late_rtfx: float | None
    stop_to_text_s: tuple[float, ...]
    turnaround_s: tuple[float, ...]


@dataclass(frozen=True)
class Experience:
    """What one request felt, from when it was due: infinite where its text never came, None where it is not asked (a
    burst has no moment at which anybody stopped, and not every text is preceded by others). `lag_s`: the longest of its
    texts before the last one. `censored`: it was still waiting when the load was ended early, so each is more."""

    kind: str | None
    user: int
    due_s: float
    duration_s: float
    spoken: bool
    turnaround_s: float
    stop_to_text_s: float | None = None
    lag_s: float | None = None
    censored: bool = False


@dataclass(frozen=True)
class Felt:
    """Of one run. `lag_s`: of texts before the last one, behind the audio that they cover; `lateness_s`: of the client
    itself, for each packet and each request; `in_flight`: requests, the mean over time; `unlike_little`: by which share
    the client's own count of them differs from what the table's times come to; `texts_per_s`: texts before the last
    one, per second of audio."""

    stop_to_text_s: tuple[float, ...] = ()
    lag_s: tuple[float, ...] = ()
    lateness_s: tuple[float, ...] = ()
    offered_rtfx: float | None = None
    late_rtfx: float | None = None
    in_flight: float | None = None
    unlike_little: float | None = None
    texts_per_s: float | None = None
    parts: tuple[Part, ...] = ()
    each: tuple[Experience, ...] = ()


NOTHING = Felt()


def turnaround(row: RequestRow, timed: bool) -> float:
    """Of a request that was completed: from when it was due where the load says when that is (`timed`), however late
    its client or its connection were; else from the first byte sent. Of tables without a due_s always that."""
    due = row.get("due_s") if timed else None
    found: float = row["final_s"] - (row["start_s"] if due is None else due)
    return found


def felt(requests: Sequence[RequestRow], packets: Sequence[PacketRow], client: ClientFacts | None) -> Felt:
    """From a run's tables; nothing of one that was made before there was a due_s."""
    known = [r for r in requests if r.get("due_s") is not None]
    timed = bool(client and client.timed)
    whole = _part(known, None, None, timed)
    finals = {r["request"]: r["final_s"] for r in known if r["status"] == "ok"}
    lags: dict[int, list[float]] = {}
    for p in packets:
        if p["kind"] == "result" and p["due_s"] is not None and p["at_s"] < finals.get(p["request"], 0.0):
            lags.setdefault(p["request"], []).append(p["at_s"] - p["due_s"])
    late = [max(0.0, r["begun_s"] - r["due_s"]) for r in known if r["begun_s"] is not None] if timed else []
    in_flight, unlike = _little(requests, known, client)
    return Felt(
        stop_to_text_s=whole.stop_to_text_s,
        lag_s=tuple(lag for own in lags.values() for lag in own),
        lateness_s=(*late, *(p["late_s"] for p in packets if p["late_s"] is not None)),
        offered_rtfx=whole.offered_rtfx,
        late_rtfx=whole.late_rtfx,
        in_flight=in_flight,
        unlike_little=unlike,
        texts_per_s=_texts_per_s(known),
        parts=_parts(known, timed),
        each=(*(_experience(r, lags.get(r["request"], ())) for r in known), *_waiting(client)),
    )


def _texts_per_s(known: Sequence[RequestRow]) -> float | None:
    """Of requests that were completed, results and what could still change alike."""
    done = [r for r in known if r["status"] == "ok"]
    before = sum((r.get("results") or 0) - (r.get("finals") or 0) + (r.get("partials") or 0) for r in done)
    audio_s = _audio(done)
    return before / audio_s if audio_s else None


def _waiting(client: ClientFacts | None) -> Iterator[Experience]:
    for one in client.unfinished if client else ():
        stopped = None if one.stop_s is None else one.until_s - one.stop_s
        yield Experience(
            one.kind, one.user, one.due_s, one.duration_s, stopped is not None, one.until_s - one.due_s, stopped,
            censored=True,
        )  # fmt: skip


def _experience(row: RequestRow, lags: Sequence[float]) -> Experience:
    done, stop = row["status"] == "ok", row["stop_s"]
    final, user = row["final_s"] if done else math.inf, row.get("user")
    return Experience(
        kind=row["class"],
        user=row["request"] if user is None else user,
        due_s=row["due_s"],
        duration_s=row["duration_s"],
        spoken=stop is not None,
        turnaround_s=final - row["due_s"],
        stop_to_text_s=None if stop is None else final - stop,
        lag_s=max(lags, default=None if done or stop is None else math.inf),
    )


def _parts(known: Sequence[RequestRow], timed: bool) -> tuple[Part, ...]:
    """None where all requests are of one class and one step. Classes stand in the load's own order, in which requests
    are numbered; steps in theirs."""
    first: dict[str | None, int] = {}
    for r in known:
        first[r["class"]] = min(r["request"], first.get(r["class"], r["request"]))
    keys = sorted({(r["class"], r["step"]) for r in known}, key=lambda key: (first[key[0]], key[1] or 0))
    if len(keys) < 2:
        return ()
    return tuple(
        _part([r for r in known if (r["class"], r["step"]) == (kind, step)], kind, step, timed) for kind, step in keys
    )


def _part(rows: Sequence[RequestRow], kind: str | None, step: int | None, timed: bool) -> Part:
    done = [r for r in rows if r["status"] == "ok"]
    first = min((r["due_s"] for r in rows), default=0.0)
    ends = [_stopped(r) for r in rows]
    span, until = max(ends, default=0.0) - first, max((r["final_s"] for r in done), default=0.0) - first
    # Of requests that are there at once the last one's audio comes after the time in which they came.
    spoken = any(r["stop_s"] is not None for r in rows)
    offered = _audio(rows if spoken else sorted(rows, key=_stopped)[:-1])
    late = [r for r in rows if r["status"] != "ok" or r["final_s"] > _stopped(r) + r["duration_s"]]
    rated = timed and span > 0
    return Part(
        kind=kind,
        step=step,
        requests=len(rows),
        completed=len(done),
        offered_rtfx=offered / span if rated else None,
        achieved_rtfx=_audio(done) / until if rated and until > 0 else None,
        late_rtfx=_audio(late) / max(span, until) if rated else None,
        stop_to_text_s=tuple(r["final_s"] - r["stop_s"] for r in done if r["stop_s"] is not None),
        turnaround_s=tuple(turnaround(r, timed) for r in done),
    )


def _stopped(row: RequestRow) -> float:
    """When the last of its audio was due."""
    found: float = row["due_s"] if row["stop_s"] is None else row["stop_s"]
    return found


def _audio(rows: Iterable[RequestRow]) -> float:
    return sum((r["duration_s"] for r in rows), 0.0)


def _little(
    requests: Sequence[RequestRow], known: Sequence[RequestRow], client: ClientFacts | None
) -> tuple[float | None, float | None]:
    """L, as the client counted it, against lambda W of the table, where every request is known from begin to end."""
    counted = client.in_flight_s if client else None
    spans = [r["final_s"] - r["begun_s"] for r in known if r["status"] == "ok" and r["begun_s"] is not None]
    if not counted or client is None or client.thinned or client.unfinished or len(spans) != len(requests):
        return None, None
    lasted = max(r["final_s"] for r in known) - min(r["begun_s"] for r in known)
    return counted / lasted, abs(sum(spans) / counted - 1)


def pooled(runs: Iterable[Felt]) -> tuple[LoadPart, ...]:
    """Classes and steps of a configuration: requests of all trials together, rates as means over trials."""
    found: dict[tuple[str | None, int | None], list[Part]] = {}
    for run in runs:
        for part in run.parts:
            found.setdefault((part.kind, part.step), []).append(part)
    return tuple(_together(parts) for parts in found.values())


def _together(parts: Sequence[Part]) -> LoadPart:
    stops = [value for part in parts for value in part.stop_to_text_s]
    turnarounds = [value for part in parts for value in part.turnaround_s]
    return LoadPart(
        kind=parts[0].kind,
        step=parts[0].step,
        requests=sum(part.requests for part in parts),
        completed=sum(part.completed for part in parts),
        offered_rtfx=_mean(part.offered_rtfx for part in parts),
        achieved_rtfx=_mean(part.achieved_rtfx for part in parts),
        late_rtfx=_mean(part.late_rtfx for part in parts),
        stop_to_text_p50_s=_percentile(stops, "p50"),
        stop_to_text_p95_s=_percentile(stops, "p95"),
        turnaround_p50_s=_percentile(turnarounds, "p50"),
        turnaround_p95_s=_percentile(turnarounds, "p95"),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _percentile(values: Sequence[float], name: str) -> float | None:
    percent, needed = FEWEST[name]
    return float(np.percentile(values, percent)) if len(values) >= needed else None


def late_p99(felt: Felt) -> float | None:
    """How late the client was with all but one in a hundred of what was due."""
    return float(np.percentile(felt.lateness_s, 99)) if felt.lateness_s else None
