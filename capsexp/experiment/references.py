"""References of runs that are made elsewhere: made there as well, as a job of their own for each kind of node, before
the first run that needs one. How fast this machine is tells nothing of theirs."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import msgspec

from capsexp.config import Config
from capsexp.errors import EngineError, HarnessError, LastingError, RunRefused
from capsexp.experiment import alone, reference
from capsexp.experiment.record import RunRecord, job
from capsexp.experiment.repeats import Pace
from capsexp.experiment.submission import submit
from capsexp.files import note, storing, write_text
from capsexp.machine import usable_cpus
from capsexp.results.read import read_facts, read_reference
from capsexp.results.verdicts import Status
from capsexp.results.write import write
from capsexp.runfiles import JOB, PASSING


class References:
    """Those of one sweep."""

    def __init__(self, sweep_dir: Path) -> None:
        self._dir = sweep_dir
        self._known: dict[str, tuple[str, float]] = {}  # its name, and how many CPUs that node has

    def ensure(self, config: Config, replay: str) -> tuple[str | None, Pace | None, float]:
        """Its name below reference/, what it says of the pace, and how many CPUs the node has. `replay`: what the job's
        replay.yaml holds. Raises EngineError, HarnessError, RunRefused and what `submit` raises."""
        if config.reference.name == "off":
            return None, None, usable_cpus()
        digest = alone.digest(config) if config.reference.name == "server" else reference.digest(config)
        own = json.dumps([digest, config.executor.told()], sort_keys=True, default=str)
        if own not in self._known:
            self._known[own] = self._make(config, replay)
        name, cpus = self._known[own]
        return name, Pace.of(read_reference(self._dir / "reference" / name / "reference.json")), cpus

    def _make(self, config: Config, replay: str) -> tuple[str, float]:
        folder = self._dir / PASSING / str(len(self._known))
        with storing(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        write_text(folder / "replay.yaml", replay)
        record = RunRecord(len(self._known), "reference", config, config.load, folder)
        write(folder / JOB, msgspec.structs.replace(job(record), sweep="../..", only="reference"))
        note(f"      the reference, by executor={config.executor.name}")
        status = submit(record, lambda: None, math.inf)  # it may take as long as it needs, but not stand still
        facts = read_facts(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if status == Status.OK and facts.reference is not None:
            return facts.reference, facts.cpu_count
        said = f"the reference: {facts.error or status}"
        if status == Status.REFUSED:
            raise RunRefused(said)
        ours = {kind.failure: kind for kind in (HarnessError, LastingError)}
        raise ours.get(facts.failure or "", EngineError)(said)
