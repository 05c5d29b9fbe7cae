"""executor=ray: each run on a node of a Ray cluster that it has for itself.

An actor there holds the run's stdin, and a child of ours, the driver, holds the actor: when this process ends, the run
ends in order. Its folder is an attempt's, which becomes the run when it has ended well.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from capsexp import interrupts
from capsexp.errors import ConfigError, HarnessError
from capsexp.experiment.attempts import Attempt
from capsexp.experiment.child import Supervised, python
from capsexp.experiment.executors._watch import Watch, made_on, node_of
from capsexp.experiment.executors.base import STOP_S, JobEnd
from capsexp.experiment.heartbeat import BEAT_S
from capsexp.experiment.reachability import unreachable
from capsexp.files import note
from capsexp.ray_connection import PROBE_S
from capsexp.tool import PARENT
from capsexp.waiting import wait_until

POLL_S = 0.1
LEAVE_S = 5.0  # for a driver that has nothing to end in order, or has ended it
BEGIN_S = 300.0  # from a node's being free to the run's first line there: Python is read from a network, perhaps
STOPPED = 130  # the exit code of a run that was told to stop
CHOOSING = ("constraint", "node")  # the settings that choose nodes


def ready(options: Mapping[str, Any]) -> None:
    """Raises ConfigError, in one line, where no run can be started from here."""
    if find_spec("ray") is None:
        raise ConfigError("executor=ray: needs the package ray: pip install 'capsexp[ray]'")
    address = str(options.get("address") or "auto")
    if address != "auto" and (why := unreachable(f"tcp://{address}", PROBE_S)):
        raise ConfigError(f"executor.address={address}: no answer ({why}); is the cluster up, and is the port right?")


def execute(
    run_dir: Path,
    secrets: Mapping[str, str],
    within_s: float,
    options: Mapping[str, Any],
    meanwhile: Callable[[], None],
) -> JobEnd:
    """`within_s` counts from when the run begins there; how long it may wait for its node is executor.queue_s."""
    attempt = Attempt(run_dir)
    watch, driver, hearing = _Watch(attempt, within_s, options, meanwhile), None, threading.Thread()
    asked = {key: options[key] for key in CHOOSING if options.get(key)}
    env = {key: value for key, value in os.environ.items() if key.startswith(("CAPSEXP_", "XDG_")) and key != PARENT}
    try:
        driver = Supervised(python("capsexp.experiment.executors._ray_driver"), "Ray's driver", out=subprocess.PIPE)
        assert driver.process.stdout is not None
        hearing = threading.Thread(target=watch.hear, args=(driver.process.stdout,), daemon=True)
        hearing.start()
        driver.say(json.dumps({
            "address": options.get("address") or "auto", "node": options.get("node"),
            "before": node_of(run_dir, asked) if options.get("same_node") else None,
            "constraint": options.get("constraint"), "words": ["capsexp.run", str(attempt.dir), "--job"],
            "env": {**env, **secrets}, "there": os.getcwd(), "held_s": watch.lost_s,
        }))  # fmt: skip
        wait_until(lambda: driver is None or not driver.alive(), float("inf"), POLL_S, watch.look)
    except BaseException as error:
        with interrupts.deferred():
            if driver is not None:
                gently = watch.begun and not isinstance(error, HarnessError)
                driver.stop(STOP_S + LEAVE_S if gently else LEAVE_S)
                hearing.join(LEAVE_S)
            _gone(watch)
            watch.drop("ray", str(error) or "interrupted", asked)
        raise
    with interrupts.deferred():
        driver.stop(0.0)
        hearing.join(STOP_S)
        watch.begin()  # it may have been quick
        if watch.begun:
            made_on(watch.node, run_dir, asked)
        return _outcome(watch, asked)


def _gone(watch: _Watch) -> None:
    """Wait until a run that nobody holds any more has ended by itself: the next one is not to be measured beside it."""
    if not watch.begun or watch.heard.get("ended") is not None:
        return
    if not wait_until(lambda: watch.attempt.silent_s() > 3 * BEAT_S, watch.lost_s + STOP_S, POLL_S):
        note(f"warning: the run on {watch.node} was told to stop but is still running")


def _outcome(watch: _Watch, asked: Mapping[str, str]) -> JobEnd:
    """What it came to. Raises HarnessError where that says nothing of what was measured."""
    attempt, said = watch.attempt, watch.heard
    if "ended" in said and not watch.begun and not attempt.complete():
        attempt.give_up()
        raise HarnessError(
            f"the run on {said['node']} ended at once, with code {said['ended']}: {said['said']}; does that node see "
            f"{attempt.dir.parent.parent}, and has its Python capsexp?"
        )
    if said.get("ended") in (None, STOPPED) and not attempt.succeeded():
        _gone(watch)
        attempt.give_up()
        why = said.get("error") or f"{watch.said} on {said.get('node', 'its node')} was lost: " + (
            said.get("lost") or ("it was told to stop" if "ended" in said else "Ray's driver ended")
        )
        if "node" in said:
            attempt.note("ray", said["job"], said["node"], "lost", asked)
        raise HarnessError(why)
    attempt.keep() if attempt.complete() else attempt.give_up()
    attempt.note("ray", watch.job, watch.node, "ended", asked)
    return JobEnd(int(said.get("ended", 0)), str(said.get("said", "")))


class _Watch(Watch):
    """`heard`: the driver's words, the last of each kind."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.heard: dict[str, Any] = {}
        self._placed: float | None = None
        self._said = ""

    def hear(self, said: IO[bytes]) -> None:
        """In a thread, until the driver ends."""
        for line in said:
            try:
                word = json.loads(line)
            except ValueError:  # half a line of a driver that was killed
                return
            if "note" in word:
                note(str(word["note"]))
            self.heard |= word

    def wait(self, now: float) -> None:
        if "node" not in self.heard:
            if why := self.heard.get("waits"):
                self.without_node(now, why)
                if why != self._said:
                    self._said = why
                    note(f"      the run waits for a node: {why}")
            return
        self.job, self.node = self.heard["job"], self.heard["node"]
        self._placed = self._placed or now
        if now - self._placed > BEGIN_S:
            raise HarnessError(f"the run on {self.node} did not start within {BEGIN_S:.0f} s")
