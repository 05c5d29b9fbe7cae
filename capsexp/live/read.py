"""A sweep's folder, looked at again and again while it is written. What is not there yet, or half written, is left out
until the next look."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from capsexp.errors import ArchiveError
from capsexp.files import read_json
from capsexp.live.eta import further, spoken
from capsexp.live.standing import Standing, standings
from capsexp.live.state import Known, Look, Progress, RunSeen, Tick, time_left
from capsexp.live.table import Growing
from capsexp.report.build import assemble
from capsexp.results.attempts import place
from capsexp.results.read import read_sweep
from capsexp.results.sweep import FILE as SWEEP
from capsexp.results.sweep import PlannedRun, read_plan
from capsexp.results.tables import SERVER_ROLES
from capsexp.results.verdicts import Status
from capsexp.runfiles import JOB, PROGRESS

MOST_TICKS = 4000
REST = 20  # times as long as the figures took to be made, before they are made again
ENDED = (Status.OK, Status.FAILED, Status.REFUSED, Status.INTERRUPTED)
MEMORY = ("pss_mb", "uss_mb", "rss_mb")  # the first that is known


class Folder:
    """A sweep's folder. `figures`: also make its figures, whenever a run has ended. Raises ArchiveError where it is not
    a sweep's."""

    def __init__(self, folder: Path, figures: bool = True) -> None:
        self._folder, self._figures = folder, figures
        self._name = "/".join(folder.absolute().parts[-2:])
        self._seen: dict[str, RunSeen] = {}
        self._run: RunFolder | None = None
        self._standings: tuple[Standing, ...] = ()
        self._counted, self._not_before = -1, 0.0
        self._sweep, self._written = read_plan(folder), _mtime(folder / SWEEP)

    def look(self) -> Known:
        self._read_plan()
        sweep = self._sweep
        runs = [self._run_seen(one) for one in sweep.planned]
        both = zip(sweep.planned, runs, strict=True)
        begun = [(one, run) for one, run in both if run.status is None and self._begun(one)]
        at_work = begun[-1] if begun else None
        files = self._at_work(at_work[0].dir if at_work else None)
        ended = sum(run.status is not None for run in runs)
        over = at_work is None and ended == len(runs) and (self._folder / "report.json").is_file()
        if self._figures and ended and ended != self._counted and time.monotonic() >= self._not_before:
            self._counted = ended
            self._standings = self._made()
        here = self._run
        return Known(
            now=time.time(),
            name=self._name,
            trials=sweep.trials,
            runs=tuple(runs),
            at_work=at_work[1].num if at_work else None,
            files=files,
            progress=here.progress() if here else None,
            ticks=tuple(here.ticks) if here else (),
            ticked=here.ticked if here else None,
            others=tuple(here.others) if here else (),
            cpus=self._cpus(),
            expected=sweep.expected_load_s,
            standings=self._standings,
            further_s=self._further_s(),
            over=over or sweep.interrupted,
        )

    def _read_plan(self) -> None:
        """Anew where it has changed. What is damaged later on leaves what was read before."""
        written = _mtime(self._folder / SWEEP)
        if written != self._written:
            with suppress(ArchiveError):
                self._sweep, self._written = read_plan(self._folder), written

    def _begun(self, planned: PlannedRun) -> bool:
        return (self._folder / planned.dir / "replay.yaml").is_file()

    def _run_seen(self, planned: PlannedRun) -> RunSeen:
        name = planned.dir
        if name in self._seen and self._seen[name].status is not None:
            return self._seen[name]
        folder = self._folder / name
        run = RunSeen(planned.num, planned.key, planned.trial, began=_mtime(folder / JOB))
        try:
            path = place(folder) / "run.json"
            found = read_json(path)
            status = found["status"]
            if status in ENDED:
                window = found.get("window_s") or {}
                start, end = window.get("start"), window.get("end")
                load_s = end - start if start is not None and end is not None else None
                run = RunSeen(run.num, run.key, run.trial, status, run.began, _mtime(path), load_s)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._seen[name] = run
        return run

    def _at_work(self, name: str | None) -> frozenset[str]:
        if name is None:
            self._run = None
            return frozenset()
        folder = place(self._folder / name)
        if self._run is None or self._run.folder != folder:
            self._run = RunFolder(folder)
        self._run.look()
        try:
            return frozenset(path.name for path in folder.iterdir())
        except OSError:
            return frozenset()

    def _further_s(self) -> float | None:
        """What a search for a capacity or trials=auto may take beside what is planned: what is left of its budget, or
        as long as it needs, where that is null."""
        search, asked = self._sweep.search, self._sweep.report
        settings = search if search is not None else asked if self._sweep.trials == "auto" else {}
        if "budget_s" not in settings:
            return None
        budget_s = settings["budget_s"]
        since = self._sweep.further_since
        spent_s = 0.0 if since is None else max(0.0, time.time() - since)
        return max(0.0, budget_s - spent_s) if isinstance(budget_s, int | float) else math.inf

    def _cpus(self) -> float | None:
        try:
            found = read_json(self._folder / "environment.json").get("cpus_usable")
            return float(found) if found else None
        except (OSError, ValueError, AttributeError, TypeError):
            return None

    def _made(self) -> tuple[Standing, ...]:
        """The figures so far; those that were there where they cannot be made now."""
        began = time.monotonic()
        try:
            return standings(assemble(read_sweep(self._folder)).configurations)
        except Exception:  # a file that is being written, or anything else: the next look may do better
            return self._standings
        finally:
            now = time.monotonic()
            self._not_before = now + REST * (now - began)


def left_said(folder: Path) -> str:
    """About how long a sweep will still take, as the end of a line; empty where nothing tells."""
    try:
        known = Folder(folder, figures=False).look()
        seconds = time_left(known).sweep_s
    except (ArchiveError, OSError, ValueError):  # nothing that a run depends on
        return ""
    return "" if seconds is None else f", about {spoken(seconds)} left{further(known.further_s)}"


class RunFolder:
    """The run at work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ticks: deque[Tick] = deque(maxlen=MOST_TICKS)
        self.others: deque[Look] = deque(maxlen=MOST_TICKS)
        self.ticked: float | None = None
        self._monitor, self._neighbours = Growing(folder / "monitor.csv"), Growing(folder / "neighbours.csv")
        self._progress: Progress | None = None
        self._open: list[dict[str, str]] = []  # the rows of a tick that may have more
        self._before: tuple[float, dict[str, float], dict[str, str]] | None = None

    def look(self) -> None:
        self.ticked = _mtime(self.folder / "monitor.csv")
        for row in self._new(self._monitor):
            if self._open and row.get("time_s") != self._open[0].get("time_s"):
                self._tick(self._open)
                self._open = []
            self._open.append(row)
        looks: dict[float, dict[str, float]] = defaultdict(dict)
        for row in self._new(self._neighbours):
            looks[_number(row.get("time_s"))][row.get("name", "")] = _number(row.get("cpu_s"))
        self.others.extend(Look(at, looks[at]) for at in sorted(looks))

    def progress(self) -> Progress | None:
        """What the client last said, which may be half written."""
        try:
            said = json.loads((self.folder / PROGRESS).read_bytes()[:4096])
            self._progress = Progress(**said)
        except (OSError, ValueError, TypeError):
            pass
        return self._progress

    def _new(self, table: Growing) -> list[dict[str, str]]:
        try:
            rows = list(table.rows())
        except (OSError, ValueError):
            return []
        if table.again:  # thinned out: every second look of it is gone
            if table is self._monitor:
                self.ticks.clear()
                self._before, self._open = None, []
            else:
                self.others.clear()
        return rows

    def _tick(self, rows: Sequence[dict[str, str]]) -> None:
        server = [row for row in rows if row.get("role") in SERVER_ROLES]
        system = next((row for row in rows if row.get("role") == "system"), {})
        column = next((c for c in MEMORY if any(row.get(c) for row in server)), MEMORY[-1])
        at = _number(rows[0].get("time_s"))
        used = {row.get("pid", ""): _number(row.get("cpu_s")) for row in server}
        ours = {row.get("pid", ""): _number(row.get("cpu_s")) for row in rows if row.get("pid")}
        cpus = stolen = others = None
        if self._before is not None and (took := at - self._before[0]) > 0:
            then, host = self._before[1], self._before[2]
            cpus = sum(max(0.0, cpu - then.get(pid, 0.0)) for pid, cpu in ours.items() if pid in used) / took
            stolen = _stolen(host, system)
            if system.get("busy_s") and host.get("busy_s"):
                busy = _number(system.get("busy_s")) - _number(host.get("busy_s"))
                others = max(0.0, busy - sum(max(0.0, cpu - then.get(pid, 0.0)) for pid, cpu in ours.items())) / took
        self._before = (at, ours, system)
        memory = sum(_number(row.get(column)) for row in server)
        self.ticks.append(Tick(at, memory, cpus, stolen, _number(system.get("swap_in_mb")), others))


def _stolen(before: dict[str, str], after: dict[str, str]) -> float | None:
    """The share of all CPU time that the host took between two looks."""
    if not after.get("steal_s") or not before.get("steal_s"):
        return None
    grown = {c: _number(after.get(c)) - _number(before.get(c)) for c in ("steal_s", "busy_s", "idle_s")}
    whole = sum(grown.values())
    return grown["steal_s"] / whole if whole > 0 else None


def _number(text: str | None) -> float:
    try:
        return float(text or 0.0)
    except ValueError:
        return 0.0


def _mtime(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
