"""A sweep's folder at moments of its life, as files."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from capsexp.errors import ArchiveError
from capsexp.live.draw import line
from capsexp.live.read import Folder, left_said
from capsexp.live.state import phase, shown, time_left
from capsexp.runfiles import PROGRESS

KEYS = ("workers=1", "workers=2", "workers=1", "workers=2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs have ended, which took 30 s and 18 s; the third is under load; nothing is there of the fourth."""
    planned = [
        {
            "num": n,
            "dir": f"{n}-{key},trial={1 + n // 2}",
            "key": key,
            "trial": 1 + n // 2,
            "overrides": [],
            "given": [],
        }
        for n, key in enumerate(KEYS)
    ]
    sweep = {
        "schema": 1, "name": "sweep", "argv": [], "planned": planned, "interrupted": False, "trials": 2,
        "trials_max": 10, "thresholds": {}, "validity": {}, "report": {}, "archive": {}, "repeats": {},
        "expected_load_s": {"workers=1": 20.0, "workers=2": 10.0},
    }  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    for num, began, took in ((0, 1000, 30), (1, 1032, 18), (2, 1052, None)):
        run = tmp_path / planned[num]["dir"]
        run.mkdir()
        (run / "replay.yaml").touch()
        at(run / "job.json", "{}", began)
        if took is not None:
            said = {"status": "ok", "window_s": {"start": 3.0, "end": took - 3.0}}
            at(run / "run.json", json.dumps(said), began + took)
    return tmp_path


def at(path: Path, text: str, moment: float) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


def under_load(folder: Path) -> Path:
    run = folder / "2-workers=1,trial=2"
    (run / ".pids").mkdir()
    said = {"start_s": 4.0, "at_s": 16.0, "done": 3, "of": 9, "heard_s": 80.0, "of_s": 160.0}
    (run / PROGRESS).write_text(json.dumps(said).ljust(255) + "\n")
    lines = ["time_s,role,worker,pid,rss_mb,pss_mb,uss_mb,cpu_s,busy_s,idle_s,steal_s,swap_in_mb"]
    for tick in range(4):
        lines += [
            f"{tick},gateway,,10,90,40,,{tick * 0.5},,,,", f"{tick},worker,0,11,200,100,,{tick * 1.0},,,,",
            f"{tick},client,,12,500,400,,9,,,,", f"{tick},system,,,,,,,{tick * 2},0,{tick * 0.5},0",
        ]  # fmt: skip
    (run / "monitor.csv").write_text("\n".join(lines) + "\n")
    (run / "neighbours.csv").write_text("time_s,name,cpu_s\n2,cc1,1.0\n4,cc1,3.0\n4,ld,0.2\n6,cc1,")
    return run


def test_what_has_ended_and_what_is_to_come(folder: Path) -> None:
    known = Folder(folder, figures=False).look()
    assert [run.status for run in known.runs] == ["ok", "ok", None, None]
    assert [run.load_s for run in known.runs] == [24.0, 12.0, None, None]
    assert (known.at_work, phase(known), known.over) == (2, "starting", False)
    assert known.expected == {"workers=1": 20.0, "workers=2": 10.0}


def test_a_run_under_load(folder: Path) -> None:
    under_load(folder)
    reader = Folder(folder, figures=False)
    known = reader.look()
    assert phase(known) == "load"
    assert known.progress is not None and known.progress.share == 0.5
    # the last tick may have more rows; memory and CPU are the server's, not the client's
    assert [(t.time_s, t.memory_mb, t.cpus) for t in known.ticks] == [(0, 140, None), (1, 140, 1.5), (2, 140, 1.5)]
    assert (known.ticks[-1].stolen, known.ticks[-1].others) == (0.2, 0.5)  # of 2 CPUs that were busy 1.5 are ours
    assert [dict(look.cpu_s) for look in known.others] == [{"cc1": 1.0}, {"cc1": 3.0, "ld": 0.2}]
    left = time_left(known)
    assert left.now_s == pytest.approx(12 + 1)  # 12 s of its load, and a moment, as it has taken ages to begin
    assert left.sweep_s == pytest.approx(12 + 1 + 18 + 2)
    assert reader.look().ticks == known.ticks  # nothing is counted twice


def test_a_progress_that_is_half_written_is_what_it_was(folder: Path) -> None:
    run = under_load(folder)
    reader = Folder(folder, figures=False)
    before = reader.look().progress
    (run / PROGRESS).write_text('{"start_s": 4.0, "at')
    assert reader.look().progress == before


def test_what_it_says_in_a_line(folder: Path) -> None:
    assert left_said(folder).startswith(", about ")
    assert left_said(folder / "nowhere") == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, ""),
        ({"trials": 2, "report": {"budget_s": 480.0}}, ""),
        ({"trials": "auto", "report": {"budget_s": 480.0}}, "; then up to 8 min of further runs"),
        ({"trials": "auto", "report": {"budget_s": None}}, "; then further runs, as many as it needs"),
        ({"search": {"budget_s": 3600}, "report": {"budget_s": 480.0}}, "; then up to 60 min of further runs"),
        ({"search": {"budget_s": 60.0}, "trials": "auto", "report": {"budget_s": 480.0}},
         "; then up to 60 s of further runs"),
        ({"search": {"budget_s": None}, "report": {"budget_s": 480.0}}, "; then further runs, as many as it needs"),
    ],
)  # fmt: skip
def test_what_may_come_beside_what_is_planned_is_said(folder: Path, asked: dict[str, Any], said: str) -> None:
    """A search for a capacity has a budget of its own."""
    sweep = folder / "sweep.json"
    sweep.write_text(json.dumps({**json.loads(sweep.read_text()), **asked}))
    assert left_said(folder).partition(" left")[2] == said
    assert line(shown(Folder(folder, figures=False).look()), 0.0).partition(", until ")[2][5:] == said


def test_what_is_spent_of_that_time_does_not_come_again(folder: Path) -> None:
    sweep = folder / "sweep.json"
    asked = {"trials": "auto", "report": {"budget_s": 480.0}, "further_since": time.time() - 170}
    sweep.write_text(json.dumps({**json.loads(sweep.read_text()), **asked}))
    assert left_said(folder).endswith("; then up to 5 min of further runs")
    sweep.write_text(json.dumps({**json.loads(sweep.read_text()), "further_since": time.time() - 500}))
    assert "further" not in left_said(folder)


def test_a_sweep_is_over_when_all_have_ended_and_the_report_is_there(folder: Path) -> None:
    for num in (2, 3):
        run = folder / f"{num}-{KEYS[num]},trial=2"
        run.mkdir(exist_ok=True)
        (run / "run.json").write_text('{"status": "failed"}')
    assert not Folder(folder, figures=False).look().over
    (folder / "report.json").touch()
    assert Folder(folder, figures=False).look().over


def test_figures_that_cannot_be_made_cost_nothing_else(folder: Path) -> None:
    known = Folder(folder).look()  # its run.json say next to nothing
    assert known.at_work == 2


@pytest.mark.parametrize("text", [None, "{}", '{"planned": [{"dir": "../../etc"}]}'])
def test_another_folder_is_told_so(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(ArchiveError, match="sweep"):
        Folder(tmp_path)
