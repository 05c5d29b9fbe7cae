"""The reference: the same segments, cut the same way, without server or network.

Its texts, once in a sweep, are what is right. What N plain processes reach with a part of the same segments, right
before a run of each trial, is the ceiling of a server with N workers in that trial. Both are made in a child of ours.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capsexp import interrupts
from capsexp.config import Config, ServerConfig, to_yaml, without_labels
from capsexp.errors import EngineError, HarnessError
from capsexp.experiment import environment, plain_processes
from capsexp.experiment.child import Child, python
from capsexp.experiment.plain_processes import BEAT
from capsexp.files import read_json, storing, write_text
from capsexp.results.forms import typed
from capsexp.results.handover import ReferenceSpeeds
from capsexp.results.run import ReferenceProcesses
from capsexp.runfiles import REFERENCE_CONFIG, REFERENCE_RUNS


def digest(config: Config) -> str:
    """What two runs must have in common to share a reference."""
    whole = without_labels(config)
    same = {
        **{part: whole[part] for part in ("engine", "punctuation", "threads", "samples")},
        "cut": [config.load.seg_duration, config.load.seg_overlap],
        **environment.of_node(config),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]


def counts(config: Config, sweep_workers: Sequence[int]) -> list[int]:
    """The process counts whose speed is asked for: 1 always."""
    asked = list(sweep_workers) if config.reference.processes == "sweep" else list(config.reference.processes)
    return sorted({1, *asked})


def ensure(config: Config, sweep_dir: Path) -> str:
    """Make the texts in a child, where this sweep does not have them yet; raises EngineError. Returns their hash."""
    key = digest(config)
    folder = sweep_dir / "reference" / key
    if not (folder / "reference.json").is_file():
        with storing(folder.name):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "config.yaml", to_yaml(_without_server(config, [1])))
        _make("capsexp.experiment.reference_texts", config, folder / "config.yaml", folder)
    return key


def time_counts(config: Config, run_dir: Path, processes: Sequence[int]) -> tuple[ReferenceProcesses, ...]:
    """How fast so many plain processes are now, with a part of what the run in `run_dir` is going to send; its sweep
    has the texts. Raises EngineError."""
    path, found = run_dir / REFERENCE_CONFIG, run_dir / REFERENCE_RUNS
    write_text(path, to_yaml(_without_server(config, list(processes))))
    try:
        _make("capsexp.experiment.reference_speed", config, path, run_dir)
        return typed(read_json(found), ReferenceSpeeds).runs
    finally:
        with storing(run_dir.name):
            for each in (path, found):
                each.unlink(missing_ok=True)


def _without_server(config: Config, processes: list[int]) -> Config:
    """It has none, and its settings (a token among them) are not to be kept."""
    limits = {name: getattr(config.server, name) for name in ("ready_timeout", "stuck_s", "stuck_rtf")}
    only = replace(config.reference, processes=processes)
    return replace(config, reference=only, server=ServerConfig(**limits), target=Config().target)


def _make(module: str, config: Config, settings: Path, folder: Path) -> None:
    """Run one of our modules in a child, as `settings` say, in `folder`; raises EngineError, HarnessError."""
    command = python(module, "--config", str(settings), "--run-dir", str(folder), "--stdin-guard")
    child = Child(command, folder / "reference.log")
    try:
        _wait(child, folder / BEAT, config)
    finally:
        child.stop(config.server.grace)
        (folder / BEAT).unlink(missing_ok=True)
    child.check_storage()
    if child.process.returncode:
        ended = f"the reference ended with code {child.process.returncode}"
        # Killed (for its memory, by somebody), it says nothing of the engine.
        raise (HarnessError if child.process.returncode < 0 else EngineError)(f"{ended}: {child.last_lines()}")


def _wait(child: Child, beat: Path, config: Config) -> None:
    """Until it has ended. It may take as long as it needs, but not stand still: raises HarnessError."""
    # Its own deadlines come first, and say more.
    patience = plain_processes.loading(config) + plain_processes.patience(config)
    look_s = plain_processes.LOOK_S
    seen, since = -1, time.monotonic()
    while not child.wait(look_s):
        interrupts.check()
        now = beat.stat().st_mtime_ns if beat.is_file() else -1
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > patience + look_s:
            raise HarnessError(f"the reference made no progress for {patience:.0f} s: {child.last_lines()}")
