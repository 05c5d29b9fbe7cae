"""What injected faults did to a run: what was lost, what was recognized again, how long until the server was whole
again, and how fast it was meanwhile. Pure. Times in seconds on the run's clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from capsexp.analysis.metrics import stands_for
from capsexp.analysis.timeline import covered

Row = dict[str, Any]
Span = tuple[float, float]

COUNTS = ("injected", "lost", "told", "duplicated", "wrong", "again")
FOREIGN = "fault-"  # begins the ids of tasks of clients that misbehave
TOLD = "the server answered:"  # begins the error of a request that the server ended with one
# After these a worker has to be replaced; after the others it is when it could not go on.
REPLACED = frozenset({"kill_worker", "kill_all_workers", "crash_engine", "freeze_worker"})


def recoveries(deeds: Sequence[Row], events: Sequence[Row]) -> list[float | None]:
    """Per fault that needs it: seconds until every worker that it struck was ready again in another process; None where
    that was not seen. `deeds` are the rows of faults.csv, `events` those of workers.csv."""
    found: list[float | None] = []
    for struck in _by_fault(deeds):
        back = [_back(deed, events) for deed in struck if _ends_worker(deed, events)]
        if back:
            known = [at for at in back if at is not None]
            began = min(deed["time_s"] for deed in struck)
            found.append(max(known) - began if len(known) == len(back) else None)
    return found


def awaited(deeds: Sequence[Row], events: Sequence[Row]) -> bool:
    """Whether the server is not whole again; never for one that tells nothing of its workers."""
    return bool(events) and any(took is None for took in recoveries(deeds, events))


def _by_fault(deeds: Sequence[Row]) -> list[list[Row]]:
    return [[d for d in deeds if d["fault"] == number] for number in dict.fromkeys(d["fault"] for d in deeds)]


def _back(deed: Row, events: Sequence[Row]) -> float | None:
    """When the last of the workers that lived in the struck process was ready in another."""
    lived = {e["worker"] for e in events if e["pid"] == deed["pid"]}
    ready = [min((e["time_s"] for e in events if _is_new(e, worker, deed)), default=None) for worker in lived]
    known = [at for at in ready if at is not None]
    return max(known) if known and len(known) == len(ready) else None


def _ends_worker(deed: Row, events: Sequence[Row]) -> bool:
    died = (e["event"] == "died" and e["pid"] == deed["pid"] and e["time_s"] >= deed["time_s"] for e in events)
    return deed["kind"] in REPLACED or any(died)


def _is_new(event: Row, worker: int, deed: Row) -> bool:
    again = event["event"] == "ready" and event["worker"] == worker and event["pid"] != deed["pid"]
    return bool(again and event["time_s"] >= deed["time_s"])


def effect(
    run: Mapping[str, Any],
    requests: Sequence[Row],
    segments: Sequence[Row],
    events: Sequence[Row],
    deeds: Sequence[Row],
    wrong_count: int | None,
) -> dict[str, Any]:
    """Counts, recoveries and throughput of one run. `wrong_count`: requests that are not right, whatever the reason."""
    # A client that misbehaves has tasks of its own. With hours= not every request has a row by which to know its own.
    mine = [s for s in segments if not str(s["task_id"]).startswith(FOREIGN)]
    metrics = run.get("metrics") or {}
    every = metrics.get("segments_every", 1)
    lost = [r for r in requests if r["status"] != "ok"]
    twice = [r for r in requests if r["status"] == "ok" and (r["finals"] != 1 or r["foreign"])]
    spans = _spans(deeds, events, run["window_s"]["start"], run["window_s"]["end"])
    return {
        "injected": len(_by_fault(deeds)),
        "lost": _number(lost),
        "told": _number([r for r in lost if str(r["error"] or "").startswith(TOLD)]),
        "duplicated": _number(twice),
        "wrong": None if wrong_count is None else max(0, wrong_count - _number(lost) - _number(twice)),
        "again": _again(mine, every, metrics) if segments else None,
        "recoveries_s": recoveries(deeds, events),
        "throughput_xrt": _throughput(mine, spans, every),
    }


def _number(requests: Sequence[Row]) -> int:
    return sum(map(stands_for, requests))


def _again(segments: Sequence[Row], every: int, metrics: Mapping[str, Any]) -> int:
    """Of a table that was thinned out the server's own count, which knows of no tasks."""
    return int(metrics["retries"]) if every > 1 else sum(s["retries"] or 0 for s in segments)


def _spans(deeds: Sequence[Row], events: Sequence[Row], start: float | None, end: float | None) -> list[Span]:
    """When the server was harmed, inside of the load: until it was whole again, or until the deed was over."""
    if start is None or end is None:
        return []
    found = []
    for deed in deeds:
        until = _back(deed, events) if _ends_worker(deed, events) else deed["until_s"]
        found.append((max(start, deed["time_s"]), min(end, end if until is None else until)))
    return [span for span in found if span[1] > span[0]]


def _throughput(segments: Sequence[Row], spans: Sequence[Span], every: int) -> float | None:
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


UNKNOWN: dict[str, Any] = {**dict.fromkeys(COUNTS), "recoveries_s": [], "throughput_xrt": None}  # nothing is known


def summary(kind: str, effects: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of a configuration, over its trials: counts are summed."""
    runs = list(effects)
    took = [seconds for run in runs for seconds in run["recoveries_s"]]
    known = [seconds for seconds in took if seconds is not None]
    fast = [run["throughput_xrt"] for run in runs if run["throughput_xrt"] is not None]
    return {
        "kind": kind,
        **{name: _total([run[name] for run in runs]) for name in COUNTS},
        "recovery_s": {"median": median(known) if known else None, "max": max(known, default=None)},
        "unrecovered": len(took) - len(known),
        "throughput_xrt": median(fast) if fast else None,
        "without": None,
        "slowdown": None,
    }


def _total(counts: Sequence[int | None]) -> int | None:
    """None as soon as one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def compare(configurations: Sequence[dict[str, Any]], twins: Mapping[str, str]) -> None:
    """Write, for each configuration with a fault, the one that differs from it only in having none (`twins`), and how
    many times as long the same requests took."""
    by_key = {c["key"]: c for c in configurations}
    for one in configurations:
        twin = by_key.get(twins.get(one["key"], ""))
        if twin is not None:
            one["fault"]["without"] = twin["key"]
            mine, theirs = one["makespan_s"]["median"], twin["makespan_s"]["median"]
            one["fault"]["slowdown"] = mine / theirs if mine and theirs else None
