"""Attempts at a run that is made elsewhere: each in a folder that nobody else has made, with an owner; the newest
complete one becomes the run."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from capsexp.experiment.heartbeat import Listener, beating
from capsexp.experiment.record import finished
from capsexp.files import read_json, storing, write_json
from capsexp.results.attempts import PREFIX, folders, number
from capsexp.results.forms import known, typed
from capsexp.results.handover import Job
from capsexp.results.verdicts import Status
from capsexp.results.write import write
from capsexp.runfiles import BEAT, JOB, OWNER

FILE = "attempts.json"  # in the run's folder: what became of each


class Attempt:
    """A new attempt at the run of a folder: its own folder, with what the run is to do. Raises StorageError."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.number = 1 + max([0, *(one["attempt"] for one in _told(run_dir)), *map(number, folders(run_dir))])
        with storing(run_dir):
            while True:
                self.dir = run_dir / f"{PREFIX}{self.number}"
                try:
                    self.dir.mkdir()
                    break
                except FileExistsError:  # somebody else's
                    self.number += 1
            shutil.copyfile(run_dir / "replay.yaml", self.dir / "replay.yaml")
        job = typed(known(run_dir / JOB), Job)
        write(self.dir / JOB, msgspec.structs.replace(job, sweep=f"../{job.sweep}"))
        self._life = Listener(self.dir / BEAT)

    def owner(self) -> Mapping[str, Any] | None:
        """Who makes it, once it has begun: `job`, `node`, `boot`, `pid`."""
        try:
            found = read_json(self.dir / OWNER)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def silent_s(self) -> float:
        """How long its owner has given no sign of life."""
        return self._life.silent_s()

    def complete(self) -> bool:
        return finished(self.dir) is not None

    def succeeded(self) -> bool:
        return finished(self.dir) == Status.OK

    def keep(self) -> None:
        """It becomes the run, run.json last. Raises StorageError."""
        _keep(self._run_dir, self.dir)

    def give_up(self) -> None:
        """Keep what its logs say, and nothing else: a job that still writes there finds its folder gone."""
        for log in [*self.dir.glob("*.log"), *self.dir.glob("*.log.1")]:
            with contextlib.suppress(OSError):
                shutil.copyfile(log, self._run_dir / log.name)
        shutil.rmtree(self.dir, ignore_errors=True)

    def note(self, executor: str, job: str | None, node: str | None, ended: str, asked: Mapping[str, Any]) -> None:
        """What became of it; `asked`: which nodes it might have had. Raises StorageError."""
        said = {"attempt": self.number, "executor": executor, "job": job, "node": node, "ended": ended, "asked": asked}
        write_json(self._run_dir / FILE, [*_told(self._run_dir), said])


def adopt(run_dir: Path) -> None:
    """Let the newest complete attempt become the run, where nobody was there to do so: of a sweep that was killed."""
    if (run_dir / "run.json").is_file():
        return
    for attempt in reversed(folders(run_dir)):
        if finished(attempt) is not None:
            _keep(run_dir, attempt)
            return


def node_before(sweep_dir: Path, asked: Mapping[str, Any]) -> str | None:
    """The node of the last attempt at the sweep's newest run that asked for the same nodes; None without one."""
    found = sorted(sweep_dir.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    last = (told[-1] for path in found if (told := _told(path.parent)))
    return next((one["node"] for one in last if isinstance(one.get("node"), str) and one.get("asked") == asked), None)


@contextlib.contextmanager
def owned(attempt: Path) -> Iterator[None]:
    """Say who makes it, and give signs of life. Raises StorageError."""
    env = os.environ
    write_json(attempt / OWNER, {
        "job": env.get("CAPSEXP_JOB_ID") or env.get("SLURM_JOB_ID"),
        "node": node(),
        "boot": _boot(),
        "pid": os.getpid(),
    })  # fmt: skip
    with beating(attempt / BEAT):
        yield


def node() -> str:
    """The name of this machine, as the cluster has it that the job is on."""
    env = os.environ
    return env.get("CAPSEXP_JOB_NODE") or env.get("SLURMD_NODENAME") or socket.gethostname()


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _told(run_dir: Path) -> list[dict[str, Any]]:
    try:
        found = read_json(run_dir / FILE)
    except (OSError, ValueError):
        return []
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("attempt"), int)]


def _keep(run_dir: Path, attempt: Path) -> None:
    with storing(run_dir):
        names = sorted(path.name for path in attempt.iterdir() if path.name not in ("replay.yaml", JOB))
        for name in sorted(names, key="run.json".__eq__):
            if not name.startswith("."):
                there = run_dir / name
                if there.is_dir():
                    shutil.rmtree(there)
                (attempt / name).replace(there)
        shutil.rmtree(attempt, ignore_errors=True)
