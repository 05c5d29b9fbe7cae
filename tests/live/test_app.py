"""Looking on from another terminal, as a user calls it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PATIENCE
from tests.support.bench import Bench

pytestmark = pytest.mark.slow


def looking(*words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "capsexp.live", *words]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True, cwd=cwd)


def test_it_follows_a_sweep_to_its_end_where_there_is_no_terminal(bench: Bench) -> None:
    sweep = bench.start("workers=1,2", "engine.rtf=0.05", "load.repeats=2", "reference=off")
    bench.until(sweep, "sweep.json")
    said, errors = looking(str(bench.out)).communicate(timeout=2 * PATIENCE)
    assert bench.finish(sweep) == 0
    lines = said.splitlines()
    assert any(line.startswith("run 2 of 2: workers=2; ") for line in lines), (said, errors)
    assert lines[-1] == "2 of 2 runs have ended; over", said


def test_it_can_be_ended_at_any_time(bench: Bench) -> None:
    sweep = bench.start("engine.rtf=1", "load.repeats=2", "reference=off")
    bench.until(sweep, "*/monitor.csv")
    view = looking(str(bench.out))
    assert view.stdout is not None
    assert view.stdout.readline().startswith("run 1 of 1: workers=1; ")
    view.send_signal(signal.SIGINT)
    assert view.wait(PATIENCE) == 130
    assert sweep.poll() is None
    sweep.send_signal(signal.SIGINT)
    assert bench.finish(sweep) == 130


def test_the_newest_sweep_is_looked_at_and_none_is_told(tmp_path: Path) -> None:
    view = looking(cwd=tmp_path)
    assert view.communicate(timeout=PATIENCE)[1].startswith("capsexp.live: there is no sweep below outputs")
    assert view.returncode == 2
    for name, interrupted in (("10-00-00-a", False), ("11-00-00-b", True)):
        folder = tmp_path / "outputs" / "2026-01-01" / name
        folder.mkdir(parents=True)
        planned = [{"num": 0, "dir": "0-a", "key": "a", "trial": 1}]
        plan = {
            "name": "x", "argv": [], "planned": planned, "thresholds": {}, "report": {}, "trials": 1, "trials_max": 1,
            "interrupted": interrupted,
        }  # fmt: skip
        (folder / "sweep.json").write_text(json.dumps(plan))
        os.utime(folder / "sweep.json", (1000 + interrupted, 1000 + interrupted))
    said, errors = looking(cwd=tmp_path).communicate(timeout=PATIENCE)
    assert said.endswith("; over\n"), (said, errors)
