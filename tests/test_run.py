"""A run is a job: `python -m capsexp.run RUN_DIR`, once, by itself, with a deadline; a sweep has it executed."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from capsexp import run as job
from capsexp.compose import compose
from capsexp.errors import ConfigError, HarnessError
from capsexp.experiment.executors import EXECUTORS, JobEnd, local
from capsexp.experiment.record import RunRecord
from capsexp.report.build import figures_of, rebuild
from capsexp.results.read import read_facts, read_run
from capsexp.results.run import SCHEMA
from tests.support import PATIENCE
from tests.support.bench import Bench

QUICK = ("engine.rtf=0.02", "reference=off", "monitor.interval=0.05")


def made(folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "capsexp.run", folder, *flags], capture_output=True, text=True, timeout=PATIENCE
    )


def facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_text()))


def test_a_run_is_made_once_by_itself_and_again_where_it_was_cut_short(bench: Bench, tmp_path: Path) -> None:
    assert bench.run(*QUICK) == 0, bench.stderr
    folder = bench.out / "0-workers=1"
    before = (folder / "run.json").read_bytes()
    again = made(folder)
    assert (again.returncode, again.stdout) == (0, "ok: the run was finished before; nothing was done\n")
    assert (folder / "run.json").read_bytes() == before

    # Elsewhere, from its replay.yaml alone.
    alone = tmp_path / "elsewhere" / "3-workers=1,trial=2"
    alone.mkdir(parents=True)
    shutil.copy(folder / "replay.yaml", alone)
    (alone / "requests.csv").write_text("cut sho")
    found = made(alone)
    assert (found.returncode, found.stdout) == (0, "ok\n"), found.stderr
    run = facts(alone)
    assert (run["status"], run["num"], run["key"]) == ("ok", 3, "workers=1")
    assert run["schema"] == SCHEMA
    assert "metrics" not in run  # what it comes to is computed by whoever reads it
    figures = figures_of(read_run(alone))
    assert figures is not None
    assert figures.completed == 4
    assert not [path.name for path in alone.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no replay\.yaml"):
        job.main([str(tmp_path)])
    with pytest.raises(ConfigError, match="usage"):
        job.main([])
    (tmp_path / "replay.yaml").write_text("workers: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        job.main([str(tmp_path)])
    assert not (tmp_path / "run.json").exists()


def test_a_job_says_what_its_node_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stdout, of which whoever submitted it reads the last line."""
    monkeypatch.setenv("SLURMD_NODENAME", "node2")
    monkeypatch.delenv("CAPSEXP_JOB_NODE", raising=False)
    for folder, missing in (
        (tmp_path / "outputs" / "sweep" / "0-workers=1" / ".attempt-1", tmp_path / "outputs"),
        (tmp_path, tmp_path / "replay.yaml"),
    ):
        with pytest.raises(ConfigError, match=r"holds no replay\.yaml"):
            job.main([str(folder), "--job"])
        assert capsys.readouterr().out == f"node2 does not see {missing}; share it with the nodes\n"


def test_a_run_computes_nothing_of_what_it_measured() -> None:
    """So that a report can, by a better formula, whenever it was made."""
    told = "import sys, capsexp.run; print([name for name in sys.modules if name.startswith('capsexp.analysis')])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout == "[]\n"


def test_a_run_starts_without_what_only_composes_settings() -> None:
    told = "import sys, capsexp.run; print('hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout == "False\n"


def test_metrics_that_an_earlier_version_kept_are_passed_over(bench: Bench) -> None:
    assert bench.run(*QUICK) == 0, bench.stderr
    folder = bench.out / "0-workers=1"
    before = bench.report()["configurations"]
    run = facts(folder)
    (folder / "run.json").write_text(json.dumps({**run, "schema": 1, "metrics": {"makespan_s": 1e9}}))
    rebuild(bench.out)
    assert bench.report()["configurations"] == before


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_run_whose_own_process_dies_is_no_verdict_and_leaves_nothing(bench: Bench) -> None:
    runner = bench.start("engine.rtf=0.5", "reference=off", "trials_max=1")
    bench.until(runner)
    for child in psutil.Process(runner.pid).children():
        with contextlib.suppress(psutil.Error):
            if "capsexp.run" in child.cmdline():
                child.kill()
    assert bench.finish(runner) == 1
    run = facts(bench.out / "0-workers=1")
    assert (run["status"], run["failure"]) == ("failed", "harness")
    assert "its process ended with code -9" in run["error"]


def test_an_executor_is_chosen_by_name() -> None:
    assert EXECUTORS.names() == ["local", "ray", "slurm"]
    assert compose(["engine=null"]).executor.name == "local"
    with pytest.raises(ConfigError, match="executor: unknown executor 'slurn'; did you mean 'slurm'"):
        compose(["engine=null", "executor.name=slurn"])


THEIRS = """
import os, subprocess, sys
from capsexp.experiment.executors import JobEnd

def execute(run_dir, secrets, within_s, options, meanwhile):
    (run_dir.parent / "executed").write_text(f"{run_dir.name} {options['partition']} {within_s > 0}")
    meanwhile()
    done = subprocess.run([sys.executable, "-m", "capsexp.run", run_dir], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **secrets})
    return JobEnd(done.returncode, done.stdout.strip())
"""


def test_an_executor_of_somebody_elses_has_runs_made(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "site" / "theirs-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[capsexp.executors]\nqueue = theirs\n")
    (tmp_path / "site" / "theirs.py").write_text(THEIRS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    assert bench.run(*QUICK, "executor.name=queue", "+executor.options.partition=fast") == 0, bench.stderr
    assert (bench.out / "executed").read_text() == "0-workers=1 fast True"
    assert facts(bench.out / "0-workers=1")["status"] == "ok"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the local executor starts in place of a run."""
    line: list[str] = [sys.executable, "-c"]
    monkeypatch.setattr(local, "python", lambda *words: line)
    return line


def test_the_local_executor_says_how_a_run_ended(command: list[str], tmp_path: Path) -> None:
    command.append("import os; print('one'); print('failed: ' + os.environ['SECRET']); raise SystemExit(1)")
    assert local.execute(tmp_path, {"SECRET": "x"}, PATIENCE, {}, lambda: None) == JobEnd(1, "failed: x")


def test_a_run_that_does_not_end_is_stopped(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STOP_S", 0.2)
    command.append("import time; time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(HarnessError, match="the run had not ended after 1 s"):
        local.execute(tmp_path, {}, 1.0, {}, lambda: None)
    assert time.monotonic() - began < PATIENCE


def test_whatever_ends_the_wait_stops_the_run_first(command: list[str], tmp_path: Path) -> None:
    said = tmp_path / "said"
    command.append(f"import sys; sys.stdin.read(); open({str(said)!r}, 'w').close()")

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.execute(tmp_path, {}, PATIENCE, {}, interrupted)
    assert said.exists()


def test_a_run_that_was_interrupted_before_its_load_was_settled_can_be_read(tmp_path: Path) -> None:
    """load.repeats is still `auto` then, and no number."""
    config = compose(["engine=null"])
    record = RunRecord(0, "workers=1", config, config.load, tmp_path, status="interrupted", error="interrupted")
    record.finish()
    assert (read_facts(tmp_path).status, read_facts(tmp_path).repeats) == ("interrupted", None)
