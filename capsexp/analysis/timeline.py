"""Where the time of a run went: shares of the measured phase, from its rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from capsexp.analysis.figures import Figures
from capsexp.results.report import Timeline
from capsexp.results.rows import RequestRow, Row, SegmentRow
from capsexp.results.run import Run
from capsexp.results.tables import SERVER_ROLES

Span = tuple[float, float]
FEWEST_TICKS = 4  # of the monitor in the measured phase: its counters are read up to a tick before and after it


def shares(
    run: Run,
    figures: Figures | None,
    requests: list[RequestRow],
    segments: list[SegmentRow],
    monitor: Sequence[Row] = (),
) -> Timeline | None:
    """None for a run without a measured phase or of which not all rows were kept; a share is None where only our own
    server could say, or where the phase was too short for the monitor."""
    span = run.window_s.span
    if figures is None or figures.thinned or span is None or span[1] <= span[0]:
        return None
    start, end = span
    done = [s for s in segments if s["status"] == "ok" and s["started_s"] is not None]
    sending = [(r["start_s"], r["sent_s"]) for r in requests if r["start_s"] is not None and r["sent_s"] is not None]
    gateway, client = figures.cpu.receiving_s, figures.cpu.client_s
    if end - start < FEWEST_TICKS * run.group("monitor")["interval"]:
        gateway = None
    waiting = covered([(s["queued_s"], s["started_s"]) for s in done], (start, end))
    return Timeline(
        workers_busy=figures.worker_busy,
        queue_empty=1 - waiting / (end - start) if done else None,
        gateway_busy=gateway / (end - start) if gateway is not None else None,
        client_busy=client / (end - start) if client is not None else None,  # it counts its own
        client_waiting=1 - covered(sending, (start, end)) / (end - start) if sending else None,
        threads_at_work=_threads_at_work(monitor, span),
    )


def _threads_at_work(monitor: Sequence[Row], span: Span) -> float | None:
    """The median over ticks, of all of the server's processes together; None where the system does not tell."""
    ticks: dict[float, int] = defaultdict(int)
    for row in monitor:
        busy = row.get("busy_threads")
        if busy is not None and row["role"] in SERVER_ROLES and span[0] <= row["time_s"] <= span[1]:
            ticks[row["time_s"]] += busy
    return median(ticks.values()) if ticks else None


def covered(spans: Iterable[Span], window: Span) -> float:
    """Seconds of `window` that lie in any of the spans."""
    total, reached = 0.0, window[0]
    for start, end in sorted(spans):
        begin, stop = max(start, reached), min(end, window[1])
        if stop > begin:
            total, reached = total + stop - begin, stop
    return total
