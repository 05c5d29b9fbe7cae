"""run.json: the facts of a run. What they come to is computed from its tables by whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import psutil

from capsexp import debug
from capsexp.config import Config, LoadConfig, repeat_count, to_dict, worker_count
from capsexp.experiment import environment
from capsexp.experiment.fingerprint import fingerprint
from capsexp.experiment.logs import LOG_BYTES
from capsexp.files import bound_log, read_json, storing, sync_tree
from capsexp.machine import usable_cpus
from capsexp.results.forms import typed
from capsexp.results.handover import Job, JobLoad
from capsexp.results.read import read_client
from capsexp.results.run import SCHEMA, ClientFacts, ReferenceProcesses, Run, SampleSetFacts, Tree, Window
from capsexp.results.tables import sizes
from capsexp.results.verdicts import Status
from capsexp.results.write import write
from capsexp.runfiles import (
    CONFIG,
    FAULTS_READY,
    MONITOR_READY,
    PIDS,
    PROGRESS,
    REFERENCE_CONFIG,
    REFERENCE_RUNS,
    SAMPLES,
    WARM,
)

# What only the run itself needs, or who looks on.
_PASSING = (CONFIG, MONITOR_READY, FAULTS_READY, SAMPLES, WARM, PROGRESS, REFERENCE_CONFIG, REFERENCE_RUNS)


@dataclass
class RunRecord:
    """What is known of a run so far. `config` is what was asked for, `load` what that came to."""

    num: int
    key: str
    config: Config
    load: LoadConfig
    dir: Path
    status: Status = Status.FAILED
    error: str = ""
    failure: str | None = None  # `harness`: it says nothing of the server
    reference: str | None = None
    reference_counts: tuple[int, ...] = ()  # of plain processes that are to be timed before it
    reference_runs: tuple[ReferenceProcesses, ...] = ()  # what came of that
    phases: dict[str, float] = field(default_factory=dict)
    ready: float | None = None
    about: Tree = field(default_factory=dict)
    pinned: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A server that runs already has as many as whoever started it chose.
        self.workers = worker_count(self.config.workers) if self.config.server.name != "external" else None
        self._fingerprint = fingerprint(self.config)

    def write(self, status: Status, error: str) -> None:
        """run.json as it is now; raises StorageError."""
        write(self.dir / "run.json", self._described(status, error))

    def finish(self) -> None:
        """run.json for good, without what only the run itself needed; raises StorageError."""
        bound_log(self.dir / debug.FILE, LOG_BYTES)
        run = self._described(self.status, self.error)
        with storing(self.dir.name):
            for pid in (self.dir / PIDS).glob("*"):
                pid.unlink()
            if (self.dir / PIDS).is_dir():
                (self.dir / PIDS).rmdir()
            for name in _PASSING:
                (self.dir / name).unlink(missing_ok=True)
        sync_tree(self.dir)  # a run.json says that the others are there
        write(self.dir / "run.json", run)

    def _described(self, status: Status, error: str) -> Run:
        config = self.config
        client, path = read_client(self.dir) or ClientFacts(), self.dir / SAMPLES
        sent = typed(read_json(path), SampleSetFacts) if path.is_file() else SampleSetFacts()
        return Run(
            schema=SCHEMA, num=self.num, key=self.key, trial=config.trial, name=config.name,
            status=status, error=error or None, failure=self.failure,
            workers=self.workers, workers_requested=config.workers, threads=config.threads,
            pool=config.pool.name, pinned=self.pinned, engine=config.engine.name, engine_about=self.about,
            twin=config.engine.is_twin(), one_core=config.engine.one_core, speaks=config.engine.speaks,
            tells=tuple(sorted(config.target.tells)),
            dispatch=config.server.dispatch if config.server.name == "local" else None,
            repeats=repeat_count(self.load.repeats), concurrency=self.load.concurrency,
            server=config.server.name, config=to_dict(config), reference=self.reference,
            reference_runs=self.reference_runs,
            phases_s={name: round(seconds, 6) for name, seconds in self.phases.items()},
            window_s=Window(ready=self.ready, start=client.start_s, end=client.end_s), order_seed=client.order_seed,
            samples=sent.samples, skipped=sent.skipped, remarks=sent.remarks, language=sent.language,
            cpu_count=usable_cpus(), machine_cpus=psutil.cpu_count() or 1, warnings=tuple(self.warnings),
            fingerprint=self._fingerprint, environment=environment.of_run(config), tables=sizes(self.dir),
        )  # fmt: skip


def finished(run_dir: Path) -> Status | None:
    """The status of a run that has come to its end; None of one that has not, or was cut short."""
    try:
        status = read_json(run_dir / "run.json")["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Status(status) if status in (Status.OK, Status.FAILED, Status.REFUSED) else None


def job(record: RunRecord) -> Job:
    """What the run is told beside its settings, as it is handed to an executor."""
    load: LoadConfig = record.config.load
    asked = JobLoad(repeats=load.repeats, concurrency=load.concurrency)
    return Job(
        num=record.num,
        key=record.key,
        trials=record.config.trials,
        load=asked,
        reference=record.reference_counts,
    )
