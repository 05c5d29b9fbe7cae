"""Records of the server in a run: segments.csv, workers.csv and the role of each process, written as it happens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from capsexp.csvfile import BoundedCsv, CsvFile
from capsexp.errors import StorageError
from capsexp.files import storing, write_json
from capsexp.placement import spelled
from capsexp.runfiles import PIDS
from capsexp.segments import Segment
from capsexp.server.pools.base import Recognized, RetriesExhausted, WorkerInfo

# queue_wait_s and compute_s are differences of the times before them: for whoever opens the table in a spreadsheet.
SEGMENT_COLUMNS = (
    "task_id", "segment", "offset_s", "audio_s", "new_s", "worker", "pid", "queued_s", "started_s", "finished_s",
    "queue_wait_s", "compute_s", "retries", "status",
)  # fmt: skip
WORKER_COLUMNS = ("time_s", "worker", "pid", "event", "reason", "cpus")
STORE_S = 5.0  # at most, until a row is in its file


class ServerTables:
    """Times count from `zero` (time.monotonic()), of segments at most `max_rows` are kept. When nothing can be written
    any more, `lost` says why and `on_lost` is called: the server ends in order, not in the middle of a result."""

    def __init__(self, run_dir: Path, zero: float, max_rows: int, on_lost: Callable[[], None]) -> None:
        self.lost: StorageError | None = None
        self._dir, self._zero, self._on_lost = run_dir, zero, on_lost
        self._counts: Counter[str] = Counter()  # of all segments, where the table holds not every one
        self._stored = time.monotonic()
        with storing(run_dir.name):
            (run_dir / PIDS).mkdir(exist_ok=True)
            self._events_file = (run_dir / "workers.csv").open("w", encoding="utf-8", newline="")
        self._events = CsvFile(self._events_file, WORKER_COLUMNS)
        self._segments = BoundedCsv(run_dir / "segments.csv", SEGMENT_COLUMNS, max_rows)

    def name(self, pid: int | None, part: str) -> None:
        """Tell the monitor what this process is."""
        self._write(lambda: (self._dir / PIDS / str(pid)).write_text(part))

    def worker(self, what: str, info: WorkerInfo) -> None:
        """A row of workers.csv: a worker has `started`, is `ready`, has `died`, or is `waiting` to be started."""
        row = {"worker": info.worker, "pid": info.pid, "event": what, "reason": info.reason or None}
        if what == "ready" and info.cpus is not None:
            row["cpus"] = spelled(info.cpus)
        self._write(lambda: self._events.write({"time_s": time.monotonic() - self._zero, **row}))
        self._write(self._events.flush)

    def segment(
        self, task_id: str, segment: Segment, outcome: Recognized | RetriesExhausted | None, queued: float
    ) -> None:
        """A segment left the pool: recognized, given up, or wanted by nobody any more (None)."""
        row: dict[str, object] = {
            "task_id": task_id, "segment": segment.index, "offset_s": segment.offset_s, "audio_s": segment.audio_s,
            "new_s": segment.new_s, "queued_s": queued - self._zero,
            "status": "cancelled" if outcome is None else "failed",
        }  # fmt: skip
        if outcome is not None:
            row["retries"] = outcome.retries
            self._counts["retries"] += outcome.retries
        if isinstance(outcome, Recognized):
            row |= {
                "status": "ok",
                "worker": outcome.worker, "pid": outcome.pid, "started_s": outcome.started - self._zero,
                "finished_s": outcome.finished - self._zero, "queue_wait_s": outcome.started - outcome.queued,
                "compute_s": outcome.finished - outcome.started,
            }  # fmt: skip
        self._counts[str(row["status"])] += 1
        self._write(lambda: self._segments.write([row]))
        if time.monotonic() - self._stored > STORE_S:
            self._stored = time.monotonic()
            self._write(self._store)

    def close(self) -> None:
        self._write(self._store)
        self._write(self._segments.close)
        self._write(self._events_file.close)

    def _store(self) -> None:
        if self._segments.every > 1:
            write_json(self._dir / "segments.json", {"every": self._segments.every, **self._counts})
        self._segments.flush()

    def _write(self, act: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            with storing(self._dir.name):
                act()
        except StorageError as error:
            self.lost = error
            self._on_lost()
