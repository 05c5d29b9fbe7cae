"""What somebody else's server, or a harness that fails, leaves: no process, no gigabytes, no verdict."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest
from bench import Bench
from conftest import PATIENCE

from capsexp.experiment.child import Child
from capsexp.files import bound_log


def test_the_end_of_a_log_is_all_that_an_error_holds(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "print('x' * 20_000_000, end='')"], tmp_path / "server.log", guarded=False)
    assert child.wait(PATIENCE)
    assert len(child.last_lines()) < 3000
    bound_log(tmp_path / "server.log", 1000)
    assert (tmp_path / "server.log").stat().st_size == 0
    assert (tmp_path / "server.log.1").stat().st_size == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux")
def test_a_server_with_a_session_of_its_own_is_ended_too(bench: Bench) -> None:
    line = f"setsid -f {sys.executable} -c 'import time; time.sleep(600)' {{port}}"
    assert bench.run("server=command", f"server.cmd={line}", "server.ready_timeout=2", "control=off") == 1
    assert not bench.left()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_run_whose_monitor_was_killed_is_no_verdict_and_is_repeated(bench: Bench) -> None:
    runner = bench.start("engine.rtf=0.1", "control=off", "trials_max=2")
    deadline = time.monotonic() + PATIENCE
    while not list(bench.out.glob("0-*/segments.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for child in psutil.Process(runner.pid).children():
        if "capsexp.monitor" in child.cmdline():
            child.kill()
    assert bench.finish(runner) in (0, 1), bench.stderr
    runs = [json.loads(p.read_text()) for p in sorted(bench.out.glob("*/run.json"))]
    assert (runs[0]["status"], runs[0]["failure"]) == ("failed", "harness")
    assert [run["status"] for run in runs[1:]] == ["ok"]
    assert bench.report()["verdict"] != "NOT_FEASIBLE"


@pytest.mark.skipif(sys.platform == "win32", reason="needs yes(1)")
def test_a_server_that_prints_without_end_leaves_little(bench: Bench) -> None:
    """Also of what it prints while it is being ended."""
    given = ("server=command", "server.cmd=sh -c yes {port}", "server.ready_timeout=2", "control=off")
    assert bench.run(*given) == 1
    assert sum(path.stat().st_size for path in bench.out.rglob("*") if path.is_file()) < 20e6
    assert bench.report()["verdict"] == "INCONCLUSIVE"  # nothing was measured
    assert "server.ready_timeout = 2 s: y | y" in bench.stderr
