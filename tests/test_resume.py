"""Going on with a sweep that was interrupted, crashed or changed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from bench import Bench
from conftest import PATIENCE

from capsexp.config import conf_dir

QUICK = ("engine.rtf=0.01", "trials_max=1")


def runs(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}


def zeros(folder: Path) -> dict[str, float]:
    """Something of each run that no other run of it would have again."""
    return {name: run["phases_s"]["total"] for name, run in runs(folder).items()}


def resume(bench: Bench, *overrides: str) -> int:
    return bench.finish(bench.start(f"resume={bench.out}", *overrides, bare=True))


def what_it_says(folder: Path) -> dict[str, Any]:
    """The report without what is measured in seconds or bytes."""
    report = json.loads((folder / "report.json").read_text())
    return {
        c["key"]: (c["status"], c["trials"], c["correctness"]["identical"], c["correctness"]["requests"])
        for c in report["configurations"]
    }


def test_a_finished_sweep_is_kept_as_it_is(bench: Bench) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    before = zeros(bench.out)
    assert resume(bench) == 0
    assert "2 finished before and kept" in bench.stderr
    assert zeros(bench.out) == before


def test_more_configurations_and_trials_are_added_to_what_is_there(bench: Bench) -> None:
    assert bench.run("workers=1,2", "trials=2", *QUICK, "-m") == 0
    before = zeros(bench.out)
    assert resume(bench, "workers=1,2,3", "trials=3") == 0
    assert "4 finished before and kept" in bench.stderr
    after = zeros(bench.out)
    assert before.items() <= after.items()
    assert sorted(set(after) - set(before)) == [
        "4-workers=3,trial=1",
        "5-workers=3,trial=2",
        *(f"{6 + n}-workers={1 + n},trial=3" for n in range(3)),
    ]
    assert [c["trials"] for c in json.loads((bench.out / "report.json").read_text())["configurations"]] == [3, 3, 3]
    assert resume(bench) == 0  # with what was added on the way
    assert set(zeros(bench.out)) == set(after)


def test_what_is_missing_or_broken_is_run_and_nothing_else(bench: Bench) -> None:
    assert bench.run("workers=1,2,3,4", *QUICK, "-m") == 0
    before, (first, second, third, fourth) = zeros(bench.out), sorted(runs(bench.out))
    shutil.rmtree(bench.out / first)
    (bench.out / second / "run.json").write_text("{")
    (bench.out / third / "run.json").unlink()
    assert resume(bench) == 0
    for reason in ("was not begun", "left a run.json that cannot be read", "was not finished"):
        assert reason in bench.stderr
    after = zeros(bench.out)
    assert set(after) == set(before)
    assert {name for name in after if after[name] == before[name]} == {fourth}
    assert all(c == ("ok", 1, 4, 4) for c in what_it_says(bench.out).values())


def test_another_configuration_sample_or_code_is_said_and_run_again(
    bench: Bench,
    audio_dir: Path,
) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    before = zeros(bench.out)
    assert resume(bench, "thresholds.speedup=1.1") == 0  # judged otherwise, but measured as before
    assert zeros(bench.out) == before
    assert json.loads((bench.out / "report.json").read_text())["thresholds"]["speedup"] == 1.1
    assert resume(bench, "engine.rtf=0.03") == 0
    assert "was made with another configuration" in bench.stderr
    assert not set(zeros(bench.out).values()) & set(before.values())
    (audio_dir / "n0.txt").write_text("a transcript")
    assert resume(bench) == 0
    assert "was made with another samples" in bench.stderr or "another configuration and samples" in bench.stderr


def test_more_workers_join_a_finished_sweep(bench: Bench) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    assert resume(bench, "workers=1,2,3") == 0
    assert set(what_it_says(bench.out)) == {"workers=1", "workers=2", "workers=3"}


def test_a_tree_of_the_users_own_is_kept_with_its_sweep(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own" / "load").mkdir(parents=True)
    (tmp_path / "own" / "load" / "mine.yaml").write_text("defaults: [all, _self_]\nrepeats: 2\n")
    (tmp_path / "own" / "load" / "all.yaml").write_text(
        re.sub(r"(?m)^concurrency: \S+", "concurrency: 3", (conf_dir() / "load" / "all.yaml").read_text())
    )
    own = ["--config-dir", str(tmp_path / "own"), "load=mine"]
    assert bench.run("workers=1", *QUICK, "load.message_s=1", "load.seg_duration=1", *own) == 0, bench.stderr
    before = zeros(bench.out)
    shutil.rmtree(tmp_path / "own")
    assert resume(bench, "workers=1,2") == 0, bench.stderr
    assert "1 finished before and kept" in bench.stderr
    assert before.items() <= zeros(bench.out).items()
    assert {run["config"]["load"]["concurrency"] for run in runs(bench.out).values()} == {3}
    assert {run["config"]["load"]["repeats"] for run in runs(bench.out).values()} == {2}


def test_a_folder_that_is_no_sweep(bench: Bench, tmp_path: Path) -> None:
    assert bench.run(f"resume={tmp_path}") == 2
    assert "not the folder of a sweep" in bench.stderr
    assert bench.stderr.strip().count("\n") == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_runner_that_is_killed_leaves_nothing_running_and_can_go_on(bench: Bench, seed: int) -> None:
    process = bench.start("workers=1,2,3", *QUICK, "-m")
    time.sleep(random.Random(seed).uniform(1.5, 9))
    below = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(below, timeout=PATIENCE / 20)
    assert not alive
    if not (bench.out / "sweep.json").exists():
        return  # it had not begun
    assert resume(bench) == 0
    assert what_it_says(bench.out) == {f"workers={n}": ("ok", 1, 4, 4) for n in (1, 2, 3)}


def test_ctrl_c_then_resume(bench: Bench) -> None:
    # Long runs: one that ended while this test was not looking would leave nothing to interrupt.
    process: subprocess.Popen[str] = bench.start("workers=1,2,3", "engine.rtf=0.1", "control=off", "-m")
    until = time.monotonic() + PATIENCE
    while not runs(bench.out) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert bench.finish(process) == 130, bench.stderr
    before = zeros(bench.out)
    assert resume(bench) == 0
    assert before.items() <= zeros(bench.out).items()
    assert not json.loads((bench.out / "report.json").read_text())["interrupted"]
    assert set(what_it_says(bench.out)) == {f"workers={n}" for n in (1, 2, 3)}
