"""Probes: which are asked and how often, those of other packages, and what one that fails costs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from capsexp.archive import verify
from capsexp.config import Config, check
from capsexp.errors import ConfigError
from capsexp.files import read_json
from capsexp.monitor import sampler as sampling
from capsexp.monitor.probes import ALWAYS, PROBES, Watch, base, usable
from capsexp.monitor.sampler import MONITOR, SHARE, Sampler
from capsexp.results.run import ColumnFacts
from capsexp.results.tables import read_rows
from tests.support import PATIENCE
from tests.support.bench import Bench

# What other programs rely on, by position and name; more may follow.
ONCE = (
    "time_s", "role", "worker", "pid", "rss_mb", "pss_mb", "uss_mb", "cpu_s", "threads", "major_faults", "read_mb",
    "write_mb", "cpu_percent", "steal_percent", "busy_s", "idle_s", "steal_s", "available_mb", "swap_used_mb",
    "swap_in_mb", "cpu_mhz",
)  # fmt: skip

TINY = """
from capsexp.monitor.probes import Column
COLUMNS = (Column("celsius", "degrees Celsius", "of nothing"), Column("said", "", "by it"))
ROLES, EVERY_S, COST = ("gateway",), 0.0, "nothing"
def missing(): return None
class start:
    def __init__(self, watch): self.looks = 0
    def look(self, now, watched):
        self.looks += 1
        own = [{k: r[k] for k in ("role", "worker", "pid")} for r in watched if r["role"] == "gateway"]
        return [{**row, "celsius": 20.5 + self.looks, "said": "two\\nlines"} for row in own]
    def close(self): pass
class Fails:
    COLUMNS, ROLES, EVERY_S, COST, missing = COLUMNS, (), 0.0, "nothing", staticmethod(missing)
    def start(self, watch): return self
    def look(self, now, watched):
        raise ValueError("no\\nluck")
    def close(self): raise OSError
fails = Fails()
class Absent(Fails):
    def missing(self): return "plug it in"
absent = Absent()
class Raises(Fails):
    def missing(self): raise RuntimeError("at once")
raises = Raises()
"""
ENTRIES = """[capsexp.probes]
heat = tiny_heat
fails = tiny_heat:fails
absent = tiny_heat:absent
raises = tiny_heat:raises
broken = nothing_of_this_name
bare = tiny_heat:COLUMNS
processes = tiny_heat
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package of somebody else's as pip installs it."""
    site = tmp_path / "site"
    about = site / "tiny_heat-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-heat\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (site / "tiny_heat.py").write_text(TINY)
    return site


class Fake:
    """A probe of ours whose look takes `takes` CPU seconds, or raises."""

    COLUMNS: Sequence[base.Column] = (base.Column("x", "s", ""),)
    ROLES: Sequence[str] = ()
    COST = ""

    def __init__(self, every: float, takes: float = 0.0) -> None:
        self.EVERY_S, self.takes, self.looks, self.closed = every, takes, 0, 0

    def missing(self) -> str | None:
        return None

    def start(self, watch: Watch) -> Fake:
        return self

    def look(self, now: float, watched: Sequence[base.Row]) -> list[base.Row]:
        self.looks += 1
        return [{"x": 1.0}]

    def close(self) -> None:
        self.closed += 1


def fakes(monkeypatch: pytest.MonkeyPatch, **found: Any) -> Sampler:
    both = {name: PROBES.get(name) for name in ALWAYS}
    monkeypatch.setattr(sampling, "usable", lambda key, names: ({**both, **found}, {}))
    return Sampler({}, None, None)


def test_the_columns_of_monitor_csv_stay_where_they_are() -> None:
    assert Sampler({}, None).tables[MONITOR][: len(ONCE)] == ONCE


def test_every_probe_of_ours_says_what_it_tells() -> None:
    for name in PROBES.ours():
        probe = PROBES.get(name)
        assert probe.COST and probe.EVERY_S >= 0
        columns = [column.name for column in probe.COLUMNS]
        assert len(set(columns)) == len(columns) and all(column.what for column in probe.COLUMNS)
        assert all(c.unit for c in probe.COLUMNS if c.name.endswith(("_mb", "_s", "_percent", "_w")))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["processes", "system", "neighbors"], "monitor.probes: unknown probe 'neighbors'; did you mean 'neighbours'?"),
        (["neighbours"], "monitor.probes: lacks processes and system, which every report needs; give "
                         "[processes,system,neighbours]"),
        ([], "monitor.probes: lacks processes and system, which every report needs; give [processes,system]"),
    ],
)  # fmt: skip
def test_names_are_checked_before_anything_starts(names: list[str], says: str) -> None:
    config = Config()
    config.monitor.probes = names
    with pytest.raises(ConfigError) as caught:
        check(config)
    assert str(caught.value) == says


def test_what_looks_seldom_is_asked_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    often, seldom = Fake(0.0), Fake(2.0)
    sampler = fakes(monkeypatch, often=often, seldom=seldom)
    told = ["probe-seldom" in sampler.tick(now) for now in (10.0, 10.5, 11.5, 11.99, 12.5, 15.0)]
    assert told == [True, False, False, True, False, True]
    assert often.looks == 6
    sampler.close()
    assert often.closed == seldom.closed == 1


def test_what_costs_much_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 0.01)  # each look takes 10 ms
    sampler = fakes(monkeypatch, costly=Fake(1.0))
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    asked = [now for now in (n / 2 for n in range(40)) if "probe-costly" in sampler.tick(now)]
    gaps = [later - before for before, later in itertools.pairwise(asked)]
    assert gaps and all(0.9 * 0.01 / SHARE <= gap <= 0.01 / SHARE for gap in gaps)


def test_what_others_probes_raise_costs_themselves(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    watched = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler = Sampler({watched.pid: "gateway"}, None, None)
    assert "probe-fails" in sampler.tables and "probe-absent" not in sampler.tables  # without a word
    assert set(sampler.faults) == {"raises", "broken", "bare"}
    first, second = sampler.tick(), sampler.tick()
    (row,) = second["probe-heat"]
    assert row == {"role": "gateway", "worker": None, "pid": watched.pid, "celsius": 22.5, "said": "two\\nlines"}
    assert "probe-fails" not in first
    assert sampler.faults["fails"] == "failed and was switched off: ValueError: no"
    assert sampler.faults["raises"] == "cannot be used: RuntimeError: at once"
    assert "ModuleNotFoundError" in sampler.faults["broken"] and "has no COLUMNS" in sampler.faults["bare"]
    about = sampler.about()
    assert about["heat"].table == "probe-heat.csv" and about["heat"].fault is None
    assert about["heat"].columns["celsius"] == ColumnFacts(unit="degrees Celsius", what="of nothing")
    assert about["processes"].table == about["system"].table == "monitor.csv"  # a name of ours is nobody else's
    sampler.close()
    watched.communicate()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent", "monitor.probes: absent cannot be used here: plug it in"),
        ("raises", "monitor.probes: raises cannot be used: RuntimeError: at once"),
        ("bare", "monitor.probes: bare cannot be used: probe 'bare' (tiny_heat:COLUMNS) has no COLUMNS and no ROLES"),
    ],
)
def test_one_that_is_named_and_cannot_be_asked_is_refused(
    installed: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    with pytest.raises(ConfigError) as caught:
        usable("monitor.probes", [*ALWAYS, name])
    assert str(caught.value).startswith(says)


def test_a_probe_of_ours_that_every_report_needs_may_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler({}, None)
    monkeypatch.setattr("psutil.cpu_times", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sampler.tick()


def test_a_run_with_another_packages_probes(bench: Bench, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its user starts it: nothing of ours was changed for it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]))
    assert bench.run("workers=1", "reference=off") == 0, bench.stderr
    (run,) = (path.parent for path in bench.out.glob("*/run.json"))
    rows = read_rows(run / "probe-heat.csv")
    assert [row["celsius"] for row in rows] == [21.5 + n for n in range(len(rows))] and len(rows) > 2
    assert {row["said"] for row in rows} == {"two\\nlines"} and {row["role"] for row in rows} == {"gateway"}
    assert read_json(run / "probes.json")["heat"]["table"] == "probe-heat.csv"
    assert "probe-heat.csv" in read_json(run / "run.json")["tables"]
    said = [line for line in bench.report()["warnings"] if "probe 'fails'" in line]
    assert said == ["workers=1: the probe 'fails' failed and was switched off: ValueError: no"]
    assert "no\nluck" in (run / "debug.log").read_text()  # with its traceback
    (zipped,) = bench.out.parent.glob("out*.zip")
    assert verify(zipped) == []


def test_a_sweep_with_a_probe_that_cannot_be_asked_is_refused(installed: Path, tmp_path: Path, audio_dir: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "capsexp", "engine=null", "samples=dir", f"samples.dir={audio_dir}", "workers=1",
         "monitor.probes=[processes,system,absent]", f"hydra.sweep.dir={out}", "-m"],
        capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "capsexp: monitor.probes: absent cannot be used here: plug it in\n"
    assert not out.exists()
