"""Rows of a run's tables, by column (docs/reference/files.md says what each holds); those of earlier versions lack
some, and an empty cell is None. Rows of what probes tell (monitor.csv, gpu.csv, ...) have the columns of
whichever probes there were, and stay plain."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

Row: TypeAlias = dict[str, Any]
# Seconds on the run's clock, or between two such moments; None where it was not reached. Code that computes with it
# selects rows by `status` first, which no type checker can follow: hence Any.
Moment: TypeAlias = Any

# `class` is no name in Python.
RequestRow = TypedDict(
    "RequestRow",
    {
        "request": int, "task_id": str, "sample": str, "duration_s": float, "start_s": Moment,
        "sent_s": Moment, "first_result_s": Moment, "final_s": Moment, "results": int, "finals": int,
        "foreign": int, "result_duration_s": Moment, "status": str, "error": str | None, "count": int | None,
        "due_s": Moment, "begun_s": Moment, "stop_s": Moment, "user": int, "class": str | None,
        "step": int | None, "partials": int | None,
    },
    total=False,
)  # fmt: skip


class PacketRow(TypedDict, total=False):
    request: int
    kind: str
    audio_s: float
    due_s: float
    at_s: float
    late_s: Moment


class SegmentRow(TypedDict, total=False):
    task_id: str
    segment: int
    offset_s: float
    audio_s: float
    new_s: float
    worker: int
    pid: int | None
    queued_s: float
    started_s: Moment
    finished_s: Moment
    queue_wait_s: Moment
    compute_s: Moment
    retries: int | None
    status: str


class WorkerRow(TypedDict, total=False):
    time_s: float
    worker: int
    pid: int | None
    event: str
    reason: str | None
    cpus: str | None


class FaultRow(TypedDict):
    fault: int
    kind: str
    time_s: float
    until_s: Moment
    worker: int | None
    pid: int | None
