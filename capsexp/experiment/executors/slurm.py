"""executor=slurm: each run as a job of a Slurm cluster, on a node that it has for itself.

The job is started by srun, whose stdin is held here: when this process ends, however it does, the run sees the end of
its stdin and ends in order. Its folder is an attempt's, which becomes the run when the job has ended well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from capsexp import interrupts
from capsexp.errors import ConfigError, HarnessError, StorageError
from capsexp.experiment.attempts import Attempt
from capsexp.experiment.child import Supervised, python
from capsexp.experiment.executors import _slurm
from capsexp.experiment.executors._watch import Watch, made_on, node_of
from capsexp.experiment.executors.base import STOP_S, JobEnd
from capsexp.experiment.executors.local import SILENT, last_line
from capsexp.files import note
from capsexp.tool import PARENT
from capsexp.waiting import wait_until

POLL_S = 0.1
QUEUE_S = 2.0  # between two questions to Slurm while a job waits
ANSWER_S = 30.0  # for Slurm to answer one
BEGIN_S = 300.0  # from a job's start to our first line there: Python is read from a network, perhaps
GONE_S = 120.0  # for a job that was cancelled to leave its node: Slurm's own patience is KillWait, 30 s by default


def ready(options: Mapping[str, Any]) -> None:
    """Raises ConfigError, in one line, where no job can be started from here."""
    if lacks := [each for each in ("srun", "squeue", "scontrol", "scancel", "sinfo") if shutil.which(each) is None]:
        raise ConfigError(f"executor=slurm: no {lacks[0]} here; start it where jobs of the cluster are submitted")
    if _ask("sinfo", "--noheader", "--format=%T") is None:
        raise ConfigError("executor=slurm: sinfo gets no answer from the cluster; is slurmctld up?")


def execute(
    run_dir: Path,
    secrets: Mapping[str, str],
    within_s: float,
    options: Mapping[str, Any],
    meanwhile: Callable[[], None],
) -> JobEnd:
    """`within_s` counts from when the run begins there; how long it may wait for its node is executor.queue_s."""
    own = _slurm.name(run_dir.parent)
    if not _cancel(own):  # what a runner that was killed has left
        raise HarnessError(
            f"cannot tell whether earlier jobs of this sweep still run: `squeue --name={own}` gives no answer, or "
            "lists some that cannot be cancelled; is slurmctld up?"
        )
    attempt = Attempt(run_dir)
    asked = _slurm.asked(options)
    wanted = _usable(node_of(run_dir, asked)) if options.get("same_node") else None
    command = python("capsexp.run", str(attempt.dir), "--job")
    line = ["env", *(f"--unset={name}" for name in _slurm.without_job(os.environ))]
    line += _slurm.launch(options, own, wanted, within_s, _binds(), command)
    before = {one.id for one in _queue(own, ended=True) or ()}
    with tempfile.TemporaryFile() as said:
        job = Supervised(line, "srun", {**secrets, PARENT: ""}, out=said.fileno())
        watch = _Watch(own, before, attempt, within_s, options, meanwhile)
        try:
            wait_until(lambda: not job.alive(), float("inf"), POLL_S, watch.look)
        except BaseException as error:
            with interrupts.deferred():
                _stop(job, own, gently=watch.begun and not isinstance(error, HarnessError))
                watch.drop("slurm", str(error) or "interrupted", asked)
            raise
        with interrupts.deferred():
            watch.begin()  # it may have been quick
            ended = _ended(watch.seen())
            _cancel(own)
            if watch.begun:
                made_on(watch.node, run_dir, asked)
            return _outcome(attempt, watch, ended, asked, JobEnd(job.process.returncode, last_line(said)))


def _outcome(attempt: Attempt, watch: _Watch, ended: str | None, asked: Mapping[str, str], end: JobEnd) -> JobEnd:
    """What the job came to. Raises HarnessError where that says nothing of what was measured."""
    if watch.job is None:
        attempt.give_up()
        told = "" if end.said == SILENT else f" ({end.said})"
        raise HarnessError(
            f"srun ended with code {end.code} and started no job, or one that ended at once{told}; "
            "see srun's own message"
        )
    where = f"job {watch.job}{f' on {watch.node}' if watch.node else ''}"
    # One that ended well counts, though its time was over, or it was cancelled, while it tidied up.
    if (ended in _slurm.VOID and not attempt.succeeded()) or (ended is None and not attempt.complete()):
        attempt.give_up()
        attempt.note("slurm", watch.job, watch.node, ended or "lost", asked)
        raise HarnessError(_slurm.lost(where, ended))
    if not watch.begun and not attempt.complete() and end.code != StorageError.EXIT:
        attempt.give_up()
        attempt.note("slurm", watch.job, watch.node, ended or "unknown", asked)
        said = None if end.said == SILENT else end.said
        raise HarnessError(_slurm.at_once(where, end.code, said, attempt.dir.parent.parent, sys.executable))
    attempt.keep() if attempt.complete() else attempt.give_up()
    attempt.note("slurm", watch.job, watch.node, ended or "unknown", asked)
    return end


class _Watch(Watch):
    """`before`: jobs of the sweep that Slurm knew before this one."""

    def __init__(self, own: str, before: Collection[str], *rest: Any) -> None:
        super().__init__(*rest)
        self._own, self._before = own, before
        self._started: float | None = None  # when Slurm gave it a node
        self._asked, self._said = 0.0, ""

    def seen(self) -> str | None:
        """The id of the job, and its node, where it never said so itself: Slurm remembers one that has ended."""
        if self.job is None or self.node is None:
            known = _queue(self._own, ended=True) or ()
            new = [one for one in known if (one.id == self.job if self.job else one.id not in self._before)]
            if new:
                self.job, self.node = new[0].id, new[0].node or None
        return self.job

    def wait(self, now: float) -> None:
        if now - self._asked < QUEUE_S:
            return
        self._asked = now
        found = next(iter(_queue(self._own) or ()), None)
        if found is None:  # not there yet, or ended: srun says which; or Slurm does not answer now
            return
        self.job, self.node = found.id, found.node or None
        if found.state not in _slurm.WAITING:
            self._started = self._started or now
            if now - self._started > BEGIN_S:
                raise HarnessError(
                    f"job {found.id} on {found.node} has not started capsexp in {BEGIN_S:.0f} s: does that node see "
                    f"{self.attempt.dir.parent.parent} and Python there?"
                )
            return
        if never := _slurm.hopeless(found):
            raise HarnessError(never)
        self.without_node(now, found.reason)
        if found.reason != self._said and found.reason not in _slurm.USUAL:
            self._said = found.reason
            note(f"      job {found.id} waits: {found.reason}")


def _stop(job: Supervised, own: str, gently: bool) -> None:
    """End the run, in order where it can be, and its job in any case."""
    if gently:
        job.stop(STOP_S)
    _cancel(own)
    job.stop(1.0)


def _cancel(own: str) -> bool:
    """Cancel the jobs of this name, and wait until none is on a node any more; whether that is sure."""

    def gone() -> bool:
        if found := _queue(own):
            _ask("scancel", *(one.id for one in found if one.id not in told))
            told.update(one.id for one in found)
        return found == []

    told: set[str] = set()
    if wait_until(gone, GONE_S, 0.2):
        return True
    what = f"job {', '.join(sorted(told))} was cancelled, and" if told else "cancelling what may still run:"
    note(f"warning: {what} Slurm still lists it, or does not answer: `scancel --name={own}`")
    return False


def _ended(job: str | None) -> str | None:
    """The state in which a job has ended; None where Slurm does not tell."""
    if job is None:
        return None

    def state() -> str | None:
        found = _slurm.described(_ask("scontrol", "show", "job", "-o", job) or "")
        return found.state if found else None

    wait_until(lambda: state() not in _slurm.ENDING, GONE_S, 0.2)
    return state()


@cache
def _binds() -> bool:
    said = _ask("scontrol", "show", "config") or ""
    return re.search(r"^TaskPlugin\s*=\s*(task/none|\(null\))?\s*$", said, re.MULTILINE) is None


def _queue(own: str, ended: bool = False) -> list[_slurm.Job] | None:
    """The jobs of this name that have not ended, or with `ended` all that Slurm remembers; None where it does not
    say."""
    states = ("--states=all",) if ended else ()
    said = _ask("squeue", "--noheader", f"--name={own}", *states, "--format=%i|%T|%r|%N")
    return None if said is None else _slurm.queued(said)


def _usable(node: str | None) -> str | None:
    """The node, where jobs can be had there: one that is down would be waited for."""
    if not node:
        return None
    states = {state.rstrip("*~#!%$@^-+") for state in (_ask("sinfo", "-hn", node, "-o", "%T") or "").split()}
    return node if states and states <= _slurm.USABLE else None


def _ask(*words: str) -> str | None:
    """What a command of Slurm's says; None where it does not answer, or says no."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
