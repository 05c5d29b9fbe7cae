"""Where the time of a run went: shares of the measured phase, from its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Span = tuple[float, float]
FEWEST_TICKS = 4  # of the monitor in the measured phase: its counters are read up to a tick before and after it


def shares(run: Mapping[str, Any], requests: list[Row], segments: list[Row]) -> dict[str, Any] | None:
    """Shares (0 to 1) of the measured phase: each worker busy, the queue empty (no segment waited for a worker), the
    front and the client busy (their CPU seconds), the client waiting (it had nothing left to send). None for a run
    without one or of which not all rows were kept, null where only our own server could say or the phase was too
    short for the monitor."""
    start, end = run["window_s"]["start"], run["window_s"]["end"]
    if not run["metrics"] or run["metrics"].get("thinned") or start is None or end is None or end <= start:
        return None
    done = [s for s in segments if s["status"] == "ok" and s["started_s"] is not None]
    sending = [(r["start_s"], r["sent_s"]) for r in requests if r["start_s"] is not None and r["sent_s"] is not None]
    front, client = (run["metrics"]["cpu"][f"{role}_s"] for role in ("front", "client"))
    if end - start < FEWEST_TICKS * run["config"]["monitor"]["interval"]:
        front = None
    waiting = covered([(s["queued_s"], s["started_s"]) for s in done], (start, end))
    return {
        "workers_busy": run["metrics"]["worker_busy"],
        "queue_empty": 1 - waiting / (end - start) if done else None,
        "front_busy": front / (end - start) if front is not None else None,
        "client_busy": client / (end - start) if client is not None else None,  # it counts its own
        "client_waiting": 1 - covered(sending, (start, end)) / (end - start) if sending else None,
    }


def covered(spans: Iterable[Span], window: Span) -> float:
    """Seconds of `window` that lie in any of the spans."""
    total, reached = 0.0, window[0]
    for start, end in sorted(spans):
        begin, stop = max(start, reached), min(end, window[1])
        if stop > begin:
            total, reached = total + stop - begin, stop
    return total
