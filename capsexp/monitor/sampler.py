"""Asks the probes, each as often as it wants and as it is worth, and keeps their rows apart: a table for each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from capsexp import debug, names
from capsexp.escape import one_line
from capsexp.monitor.probes import ALWAYS, PROBES, Probe, Watch, usable
from capsexp.monitor.probes.base import Row
from capsexp.results.run import ColumnFacts, ProbeFacts

MONITOR = "monitor"
# Other programs know these by their position: what was added since follows them.
BEGINS = {
    MONITOR: (
        "time_s", "role", "worker", "pid", "rss_mb", "pss_mb", "uss_mb", "cpu_s", "threads", "major_faults", "read_mb",
        "write_mb", "cpu_percent", "steal_percent", "busy_s", "idle_s", "steal_s", "available_mb", "swap_used_mb",
        "swap_in_mb", "cpu_mhz",
    ),
}  # fmt: skip
KEY = "monitor.probes"
SHARE = 0.001  # of a CPU: what looks more seldom than at each tick may take


class Sampler:
    """Asks the probes of these names (None: all that can be asked here) about the trees under `watched` (pid -> role).
    Raises ConfigError where one that is named cannot be asked.

    `tables` are the names of their tables, with the columns of each; `faults` says what went wrong with a probe, by its
    name: one that fails is asked no more, and the others go on."""

    def __init__(self, watched: dict[int, str], pids_dir: Path | None, chosen: Sequence[str] | None = ALWAYS) -> None:
        found, self.faults = usable(KEY, chosen)
        watch = Watch(dict(watched), pids_dir)
        self._asked: list[_Asked] = []
        for name, probe in found.items():
            with self._surviving(name):
                self._asked.append(_Asked(name, probe, watch))
        self.tables: dict[str, tuple[str, ...]] = {}
        for asked in self._asked:
            before = self.tables.get(asked.table, BEGINS.get(asked.table, ("time_s",)))
            self.tables[asked.table] = tuple(dict.fromkeys((*before, *asked.head, *asked.columns)))

    def tick(self, now: float | None = None) -> dict[str, list[Row]]:
        """The rows of each table that has new ones, without time_s; in monitor.csv's the processes first, then the
        system. `now` in seconds of time.monotonic()."""
        now = time.monotonic() if now is None else now
        found: dict[str, list[Row]] = {MONITOR: []}
        for asked in list(self._asked):
            if asked.due <= now:
                with self._surviving(asked.name, asked):
                    rows = asked.look(now, found[MONITOR])
                    found.setdefault(asked.table, []).extend(rows)
        return found

    def close(self) -> None:
        while self._asked:
            self._asked.pop().close()

    def about(self) -> dict[str, ProbeFacts]:
        """What each probe says of itself, and what went wrong with it."""
        broken = {name: ProbeFacts(fault=fault) for name, fault in self.faults.items()}
        return {**broken, **{asked.name: asked.about for asked in self._asked}}

    @contextlib.contextmanager
    def _surviving(self, name: str, asked: _Asked | None = None) -> Iterator[None]:
        """What every report is made of must not fail; anything else costs itself."""
        try:
            yield
        except Exception as error:
            if name in ALWAYS:
                raise
            if asked is not None:
                self._asked.remove(asked)
                asked.close()
            said = next(iter(str(error).splitlines()), "")
            debug.log.error(f"probe {name}", exc_info=error)
            self.faults[name] = one_line(f"failed and was switched off: {type(error).__name__}: {said}")


def table_of(name: str) -> str:
    """Where a probe's rows go. Others' tables have names that none of ours will ever have."""
    if name not in PROBES.ours():
        return f"probe-{names.safe(name)}"
    return MONITOR if name in ALWAYS else name


class _Asked:
    """A probe that is asked: when it is due, and what it may have said that a table cannot hold."""

    def __init__(self, name: str, probe: Probe, watch: Watch) -> None:
        self.name, self.table, self.due = name, table_of(name), float("-inf")
        self.head = ("role", "worker", "pid") if probe.ROLES else ()
        self.columns = tuple(column.name for column in probe.COLUMNS)
        self._every = float(probe.EVERY_S)
        self.about = ProbeFacts(
            table=f"{self.table}.csv", every_s=self._every, cost=probe.COST, roles=tuple(probe.ROLES),
            columns={column.name: ColumnFacts(unit=column.unit, what=column.what) for column in probe.COLUMNS},
        )  # fmt: skip
        self._ours = name in PROBES.ours()
        self._source = probe.start(watch)

    def look(self, now: float, watched: Sequence[Row]) -> list[Row]:
        began = time.thread_time()
        rows = self._source.look(now, watched)
        if not self._ours:
            rows = [{key: _cell(value) for key, value in row.items()} for row in rows]
        if self._every:
            # A tick that comes a little early is in time.
            self.due = now + 0.9 * max(self._every, (time.thread_time() - began) / SHARE)
        return rows

    def close(self) -> None:
        with contextlib.suppress(Exception):  # nothing is lost with it
            self._source.close()


def _cell(value: object) -> object:
    return value if value is None or isinstance(value, (int, float)) else one_line(value)
