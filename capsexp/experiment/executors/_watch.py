"""What executors that have runs made elsewhere have in common: a job is known by what it writes into its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from capsexp.errors import HarnessError
from capsexp.experiment.attempts import Attempt, node_before
from capsexp.files import note
from capsexp.runfiles import PASSING

_chosen: dict[tuple[Any, ...], str] = {}  # the node of the first job of each sweep, for each choice of nodes


class Watch:
    """Looks after a job while it lasts. `job` and `node`: None while they are not known; `options`: as for
    `Executor.execute`."""

    def __init__(
        self, attempt: Attempt, within_s: float, options: Mapping[str, Any], meanwhile: Callable[[], None]
    ) -> None:
        self.attempt, self.within_s, self.options = attempt, within_s, options
        self._meanwhile = meanwhile
        self.begun, self.job, self.node = False, None, None  # type: bool, str | None, str | None
        self._submitted = self._began = time.monotonic()

    @property
    def lost_s(self) -> float:
        return float(self.options.get("lost_s", 120.0))

    def begin(self) -> None:
        """What the run says of itself, once it does."""
        if not self.begun and (owner := self.attempt.owner()) is not None:
            self.begun, self._began = True, time.monotonic()
            self.job, self.node = str(owner.get("job")), str(owner.get("node"))
            note(f"      job {self.job} on {self.node}")

    def look(self) -> None:
        """Raises HarnessError for a job that will not begin, does not end or is lost, and what `meanwhile` raises."""
        self._meanwhile()
        self.begin()
        now = time.monotonic()
        if not self.begun:
            self.wait(now)
            return
        if now - self._began > self.within_s:
            raise HarnessError(f"the run had not ended after {self.within_s:.0f} s")
        # It may have waited for its node for long before it gave its first one.
        if (silent := min(self.attempt.silent_s(), now - self._began)) > self.lost_s:
            raise HarnessError(
                f"job {self.job} on {self.node} was lost: no sign of life for {silent:.0f} s; is that node up, and "
                f"does it still see {self.attempt.dir.parent.parent}?"
            )

    def wait(self, now: float) -> None:
        """While it has not begun; raises HarnessError where that has been too long, or will never be."""

    def without_node(self, now: float, why: str) -> None:
        """Raises HarnessError when it has waited for a node for too long."""
        limit = self.options.get("queue_s")
        if limit is not None and now - self._submitted > limit:
            raise HarnessError(f"{self.said} has had no node for {limit:g} s (executor.queue_s): {why}")

    @property
    def said(self) -> str:
        return f"job {self.job}" if self.job else "the job"

    def drop(self, executor: str, why: str, asked: Mapping[str, Any]) -> None:
        """Of a job that has been stopped: what it has recorded itself is kept."""
        kept = self.begun and (self.attempt.dir / "run.json").is_file()
        self.attempt.keep() if kept else self.attempt.give_up()
        self.attempt.note(executor, self.job, self.node, why, asked)


def node_of(run_dir: Path, asked: Mapping[str, Any]) -> str | None:
    """Where the first run of its sweep was made, or the reference, of those that ask for the same nodes."""
    sweep = _sweep_of(run_dir)
    return _chosen.get((sweep, *sorted(asked.items()))) or node_before(sweep, asked)


def made_on(node: str | None, run_dir: Path, asked: Mapping[str, Any]) -> None:
    _chosen.setdefault((_sweep_of(run_dir), *sorted(asked.items())), node or "")


def _sweep_of(run_dir: Path) -> Path:
    """A reference is made in a folder within the sweep's."""
    return run_dir.parent.parent if run_dir.parent.name == PASSING else run_dir.parent
