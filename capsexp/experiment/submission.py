"""A run as its sweep sees it: handed to an executor, looked after, and recorded whatever became of it."""

from __future__ import annotations

from collections.abc import Callable

from capsexp import interrupts
from capsexp.errors import ConfigError, HarnessError, LastingError, StorageError
from capsexp.experiment import deadlines
from capsexp.experiment.executors import EXECUTORS
from capsexp.experiment.record import RunRecord, finished
from capsexp.files import read_json
from capsexp.results.attempts import place
from capsexp.results.verdicts import Status
from capsexp.tool import TOKEN


def submit(record: RunRecord, checkpoint: Callable[[], None], within_s: float | None = None) -> Status:
    """Have a run made, within what its deadlines come to or `within_s`; its status, which run.json says. With hours=,
    `checkpoint` is called whenever that says more.
    Raises KeyboardInterrupt and StorageError, once the run was taken down."""
    config = record.config
    try:
        ended = EXECUTORS.get(config.executor.name).execute(
            record.dir, {TOKEN: config.server.token or ""}, deadlines.run(config) if within_s is None else within_s,
            config.executor.told(),
            _looking_after(record, checkpoint),
        )  # fmt: skip
        if ended.code == StorageError.EXIT:
            raise StorageError(ended.said)
        failed = f"its process ended with code {ended.code}: {ended.said}"
        record.failure = (LastingError if ended.code == ConfigError.EXIT else HarnessError).failure
    except KeyboardInterrupt:
        _unless_recorded(record, Status.INTERRUPTED, "interrupted")
        raise
    except HarnessError as error:
        failed, record.failure = str(error), error.failure
    _unless_recorded(record, Status.FAILED, failed)
    return Status(read_json(record.dir / "run.json")["status"])


def _unless_recorded(record: RunRecord, status: Status, error: str) -> None:
    """Record a run that did not come to record itself."""
    path = record.dir / "run.json"
    if finished(record.dir) is None and not (path.is_file() and read_json(path)["status"] == Status.INTERRUPTED):
        record.status, record.error = status, error
        with interrupts.deferred():
            record.finish()


def _looking_after(record: RunRecord, checkpoint: Callable[[], None]) -> Callable[[], None]:
    seen = 0

    def look() -> None:
        nonlocal seen
        interrupts.check()
        if not record.dir.parent.is_dir():
            raise StorageError(f"cannot write {record.dir.parent.name}: No such file or directory")
        path = place(record.dir) / "run.json"
        if record.config.hours is None or not path.is_file() or (now := path.stat().st_mtime_ns) == seen:
            return
        seen = now
        if read_json(path)["status"] == Status.RUNNING:
            checkpoint()

    return look
