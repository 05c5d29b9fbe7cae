"""Going on with a sweep that was interrupted, crashed or changed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from capsexp.config import conf_dir
from tests.support import PATIENCE
from tests.support.bench import Bench

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
        c["key"]: (c["status"], c["trials"], c["requests"]["identical"], c["requests"]["total"])
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
    assert resume(bench, "engine.rtf=0.03") == 2  # resuming only adds
    assert re.search(r"workers=1 and 1 more was made with other settings.*redo=changed to repeat", bench.stderr.strip())
    assert zeros(bench.out) == before
    assert resume(bench, "engine.rtf=0.03", "redo=changed") == 0
    assert "was made with other settings" in bench.stderr
    assert not set(zeros(bench.out).values()) & set(before.values())
    before = zeros(bench.out)
    (audio_dir / "n0.txt").write_text("a transcript")
    assert resume(bench) == 2
    assert "was made with other samples" in bench.stderr
    assert zeros(bench.out) == before
    assert resume(bench, "redo=changed") == 0
    assert not set(zeros(bench.out).values()) & set(before.values())
    assert bench.run("redo=changed") == 2
    assert "add resume=FOLDER" in bench.stderr


def test_a_run_that_is_made_again_keeps_its_baseline(bench: Bench) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    shutil.rmtree(bench.out / sorted(runs(bench.out))[1])
    assert resume(bench, "redo=changed") == 0
    report = json.loads((bench.out / "report.json").read_text())
    assert [c["baseline"] for c in report["configurations"]] == ["workers=1", "workers=1"]


def test_resuming_with_other_values_keeps_what_is_there(bench: Bench) -> None:
    assert bench.run("workers=1,2,3", *QUICK, "reference=engine", "-m") == 0
    before, reference = zeros(bench.out), sorted((bench.out / "reference").rglob("reference.json"))
    held = [path.read_bytes() for path in reference]
    assert reference
    assert resume(bench, "workers=4") == 0, bench.stderr
    assert "3 finished before and kept" in bench.stderr
    assert before.items() <= zeros(bench.out).items()
    assert [path.read_bytes() for path in reference] == held
    assert set(what_it_says(bench.out)) == {f"workers={n}" for n in (1, 2, 3, 4)}
    after = zeros(bench.out)
    assert resume(bench) == 0
    assert zeros(bench.out) == after
    words = json.loads((bench.out / "sweep.json").read_text())["argv"]
    assert [word for word in words if word.startswith("workers=")] == ["workers=1,2,3,4"]  # what a replay asks for


def test_swapped_models_and_upgraded_packages_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audio_dir: Path
) -> None:
    from capsexp.compose import compose
    from capsexp.experiment import environment
    from capsexp.experiment.fingerprint import fingerprint

    for name in ("model.onnx", "config.yaml", "am.mvn", "tokens.json"):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text(f"the {name} of then")
    model, audio = f"engine.model_dir={tmp_path / 'model'}", f"samples.dir={audio_dir}"
    config = compose(["engine=paraformer", model, "samples=dir", audio])

    def now() -> dict[str, str]:
        environment._installed.cache_clear()
        return fingerprint(config)

    before = now()
    assert now() == before
    (tmp_path / "model" / "model.onnx").write_text("another model")
    assert {part for part, value in now().items() if value != before[part]} == {"models"}
    before = now()
    version = environment.metadata.version
    monkeypatch.setattr(environment.metadata, "version", lambda name: "99" if name == "onnxruntime" else version(name))
    assert {part for part, value in now().items() if value != before[part]} == {"packages"}


def test_what_is_kept_keeps_its_environment(bench: Bench) -> None:
    assert bench.run("workers=1", *QUICK, "-m") == 0
    path = bench.out / "environment.json"
    then = {**json.loads(path.read_text()), "memory_mb": 12345}
    path.write_text(json.dumps(then))
    assert resume(bench, "workers=1,2") == 0, bench.stderr
    assert json.loads(path.read_text())["memory_mb"] == 12345
    own = [run["environment"] for run in runs(bench.out).values()]
    assert len(own) == 2
    assert all(one["packages"] == then["packages"] for one in own)
    assert (
        "than environment.json describes (memory_mb): 2 of 2 runs (the first: workers=1, run 0)"
        in (bench.out / "report.md").read_text()
    )


def test_a_folder_is_written_by_one_at_a_time(bench: Bench) -> None:
    process = bench.start("workers=1,2", "engine.rtf=0.2", "-m")
    until = time.monotonic() + PATIENCE
    while not (bench.out / "sweep.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    second = bench.start(f"resume={bench.out}", bare=True)
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert re.fullmatch(
        rf"capsexp: \S+/out: is being written by another capsexp \(pid {process.pid} on \S+ since [^)]+\); "
        "wait for it or end it\n",
        said,
    ), said
    assert bench.finish(process) == 0, bench.stderr
    assert what_it_says(bench.out) == {f"workers={n}": ("ok", 1, 4, 4) for n in (1, 2)}
    assert not (bench.out / ".lock").exists()
    (bench.out / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "1999", "started": 0}))
    assert resume(bench) == 0, bench.stderr  # its owner is dead: nobody holds it


def test_a_lock_that_is_another_file_as_well_is_not_written(tmp_path: Path) -> None:
    from capsexp.errors import StorageError
    from capsexp.lock import locked

    (tmp_path / "precious").write_text("mine")
    (tmp_path / "sweep").mkdir()
    os.link(tmp_path / "precious", tmp_path / "sweep" / ".lock")
    with pytest.raises(StorageError, match=r"\.lock: is a hard link to another file"), locked(tmp_path / "sweep"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("place", ["../outside", "/tmp/outside", "0-x/../../outside", "..", "reference", ""])
def test_no_path_of_a_file_leaves_the_sweep(tmp_path: Path, place: str) -> None:
    from capsexp.cli import main

    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run.json").write_text('{"status": "failed", "reference": "../../outside"}')
    folder = tmp_path / "sweep"
    (folder / "reference").mkdir(parents=True)
    planned = {"num": 0, "dir": place, "key": "workers=1", "trial": 1, "overrides": [], "given": []}
    (folder / "sweep.json").write_text(json.dumps({**SWEEP, "planned": [planned]}))
    assert main([f"resume={folder}"]) == 2
    assert (tmp_path / "outside" / "run.json").exists()
    assert (folder / "reference").exists()


SWEEP = {
    "schema": 1, "name": "sweep", "argv": ["engine=null", "workers=1"], "interrupted": False, "trials": 1,
    "trials_max": 1, "thresholds": {}, "validity": {}, "report": {},
}  # fmt: skip


def test_thresholds_that_were_changed_afterwards_are_said(bench: Bench) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    assert "changed after" not in (bench.out / "report.md").read_text()
    assert resume(bench, "thresholds.speedup=1.05") == 0
    said = "thresholds were changed after the runs: speedup 1.5 -> 1.05"
    assert said in (bench.out / "report.md").read_text()
    assert resume(bench) == 0  # and it stays so
    assert said in (bench.out / "report.md").read_text()
    rejudge = [sys.executable, "-m", "capsexp.report", str(bench.out)]
    done = subprocess.run([*rejudge, "thresholds.speedup=1.1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "speedup 1.5 -> 1.1" in done.stdout
    assert json.loads((bench.out / "report.json").read_text())["thresholds"]["speedup"] == 1.1
    for word in ("thresholds.speed=1", "workers=3", "thresholds.speedup=fast"):
        done = subprocess.run([*rejudge, word], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
    done = subprocess.run([*rejudge, "thresholds.speedup=1.5"], capture_output=True, text=True)
    assert "changed after" not in done.stdout


def test_more_workers_join_a_finished_sweep(bench: Bench) -> None:
    assert bench.run("workers=1,2", *QUICK, "-m") == 0
    assert resume(bench, "workers=1,2,3") == 0
    assert set(what_it_says(bench.out)) == {"workers=1", "workers=2", "workers=3"}


def test_a_tree_of_the_users_own_is_kept_with_its_sweep(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own" / "load").mkdir(parents=True)
    (tmp_path / "own" / "load" / "mine.yaml").write_text("defaults: [all, _self_]\nseed: 7\n")
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
    assert {run["config"]["load"]["seed"] for run in runs(bench.out).values()} == {7}


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
    process: subprocess.Popen[str] = bench.start("workers=1,2,3", "engine.rtf=0.1", "reference=off", "-m")
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


@pytest.mark.slow
def test_a_race_that_is_resumed_as_a_grid_makes_the_runs_that_are_missing(bench: Bench) -> None:
    given = ("trials=2", "trials_max=2", "reference=off", "engine.memory_mb=50", "thresholds.peak_memory_mb=400")
    assert bench.run("workers=1,2,8", "engine.rtf=0.01", "search=race", *given, "-m") == 0, bench.stderr
    before, raced = zeros(bench.out), bench.report()["configurations"]
    assert [(c["trials"], c["dropped"] is None) for c in raced] == [(2, True), (2, True), (1, False)]  # of 8, too large
    assert resume(bench, "search=grid") == 0, bench.stderr
    assert "5 finished before and kept" in bench.stderr
    after, whole = zeros(bench.out), bench.report()["configurations"]
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"5-workers=8,trial=2"}
    assert [(c["trials"], c["dropped"]) for c in whole] == [(2, None)] * 3
    assert "Out of the race" not in (bench.out / "report.md").read_text("utf-8")
    assert resume(bench) == 0  # as what it is now
    assert "6 finished before and kept" in bench.stderr and zeros(bench.out) == after
