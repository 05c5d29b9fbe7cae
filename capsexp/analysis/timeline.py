"""Where the time of a run went: shares of the measured phase, from its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Span = tuple[float, float]
BUSY = ("front", "client")


def shares(run: Mapping[str, Any], requests: list[Row], segments: list[Row]) -> dict[str, Any] | None:
    """Shares (0 to 1) of the measured phase: each worker busy, the queue empty (no segment waited for a worker), the
    front and the client busy (their CPU seconds), the client waiting (it had nothing left to send). None for a run
    without one or of which not all rows were kept, null where only our own server could say."""
    start, end = run["window_s"]["start"], run["window_s"]["end"]
    if not run["metrics"] or run["metrics"].get("thinned") or start is None or end is None or end <= start:
        return None
    done = [s for s in segments if s["status"] == "ok" and s["started_s"] is not None]
    sending = [(r["start_s"], r["sent_s"]) for r in requests if r["start_s"] is not None and r["sent_s"] is not None]
    used = run["metrics"]["cpu"]
    busy = {role: used[f"{role}_s"] / (end - start) if used[f"{role}_s"] is not None else None for role in BUSY}
    waiting = covered([(s["queued_s"], s["started_s"]) for s in done], (start, end))
    return {
        "workers_busy": run["metrics"]["worker_busy"],
        "queue_empty": 1 - waiting / (end - start) if done else None,
        "front_busy": busy["front"],
        "client_busy": busy["client"],
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
