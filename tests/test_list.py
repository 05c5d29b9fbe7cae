"""Past sweeps, as a user lists and opens them, and what a bare command says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from capsexp.list import about, found
from capsexp.report.build import assemble
from capsexp.report.exporters import json as exported
from tests.support import PATIENCE
from tests.support.reports import a_run, a_sweep


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three sweeps: one that is whole, one without a report, one whose sweep.json is none."""
    runs = [a_run(w, m * (1 + t * w / 100), trial=t) for t in (1, 2, 3, 4) for w, m in ((1, 20.0), (2, 10.0))]
    made = a_sweep(runs)
    for when, report in (("2026-01-01/10-00-00-mine", True), ("2026-01-02/09-00-00-cut", False)):
        folder = tmp_path / "outputs" / when
        folder.mkdir(parents=True)
        plan = {**msgspec.to_builtins(made.sweep), "argv": ["workers=1,2", "-m"]}
        (folder / "sweep.json").write_text(json.dumps(plan))
        (folder / "0-workers=1").mkdir()
        (folder / "0-workers=1" / "monitor.csv").write_bytes(bytes(3 << 20))
        if report:
            (folder / "report.json").write_text(exported.render(assemble(made)))
            (folder / "report.html").touch()
    broken = tmp_path / "outputs" / "2025-12-31" / "23-59-59-odd"
    broken.mkdir(parents=True)
    (broken / "sweep.json").write_text("[]")
    return tmp_path / "outputs"


def test_the_newest_comes_first(outputs: Path) -> None:
    assert [folder.name for folder in found(outputs)] == ["09-00-00-cut", "10-00-00-mine", "23-59-59-odd"]


def test_what_is_said_of_each(outputs: Path) -> None:
    cut, mine, odd = map(about, found(outputs))
    assert (mine.when, mine.name, mine.asked) == ("2026-01-01 10:00:00", "mine", "workers=1,2 -m")
    assert (mine.verdict, mine.runs) == ("FEASIBLE", 8)
    assert mine.question.startswith("Do more recognizer workers pay")
    assert 3 <= mine.size_mb < 4
    assert (cut.verdict, cut.question) == ("no report", "")
    assert odd.verdict == "damaged"


def asked(folder: Path, *words: str, width: int = 100) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", *words]
    env["COLUMNS"] = str(width)
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder, env=env)


@pytest.mark.slow
def test_a_user_lists_and_opens(outputs: Path) -> None:
    for width in (80, 160):
        listed = asked(outputs.parent, "capsexp.list", width=width)
        assert listed.returncode == 0
        assert max(map(len, listed.stdout.splitlines())) <= width
        assert "FEASIBLE" in listed.stdout and "3 sweeps" in listed.stdout
    opened = asked(outputs.parent, "capsexp.list", "open", "2")
    assert (opened.returncode, opened.stdout) == (0, f"{Path('outputs/2026-01-01/10-00-00-mine/report.html')}\n")
    assert "has no report" in asked(outputs.parent, "capsexp.list", "open").stderr
    assert asked(outputs.parent, "capsexp.list", "open", "7").returncode == 2
    shutil.rmtree(outputs)
    assert "no sweep has been made" in asked(outputs.parent, "capsexp.list").stdout


@pytest.mark.slow
def test_a_bare_command_names_the_ways_to_begin_and_measures_nothing(tmp_path: Path) -> None:
    made = asked(tmp_path, "capsexp")
    assert made.returncode == 0
    for way in ("capsexp.doctor", "workers=1,2,3", "server=external", "--help"):
        assert way in made.stdout
    assert list(tmp_path.iterdir()) == []
