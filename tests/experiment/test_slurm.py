"""executor=slurm on a real cluster of two nodes: the same sweep as here, and whatever happens to its jobs."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import PATIENCE
from tests.support.bench import Bench
from tests.support.jobs import attempts, facts, measured, resumed
from tests.support.slurm import Cluster, holders, lacking

pytestmark = [pytest.mark.slow, pytest.mark.skipif(lacking() is not None, reason=lacking() or "")]
SLOW = ("executor=slurm", "engine.rtf=0.3", "workers=1", "trials_max=1", "reference=off")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    before = {name: os.environ.get(name) for name in cluster.env}
    os.environ.update(cluster.env)
    yield cluster
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    cluster.down()


def gone(bench: Bench, cluster: Cluster) -> None:
    """Nothing is left within a moment: no job, no process, no folder of an attempt."""
    until = time.monotonic() + PATIENCE
    while cluster.jobs() or bench.left():
        assert time.monotonic() < until, (cluster.jobs(), bench.left())
        time.sleep(0.1)


def under_load(bench: Bench, *more: str) -> Any:
    runner = bench.start(*SLOW, *more)
    bench.until(runner, "0-*/.attempt-*/segments.csv")
    return runner


def test_a_sweep_is_the_same_as_here_and_no_file_holds_its_token(bench: Bench, cluster: Cluster) -> None:
    token = "a-token-that-nobody-writes-down"
    both = {}
    for executor in ("local", "slurm"):
        bench.out = bench.out.with_name(executor)
        sweep = (f"executor={executor}", "workers=1,2", "engine.rtf=0.02", f"server.token={token}", "-m")
        assert bench.run(*sweep) == 0, bench.stderr
        both[executor] = measured(bench.report())
        gone(bench, cluster)
    assert both["slurm"] == both["local"]
    (one,) = attempts(bench)
    assert (one["executor"], one["ended"]) == ("slurm", "COMPLETED")
    # Both runs, and what they are compared with, were made on one node.
    assert {a["node"] for run in ("0-workers=1", "1-workers=2") for a in attempts(bench, run)} == {one["node"]}
    assert not holders(token, bench.out.parent, cluster.folder)
    assert not [path.name for path in bench.out.rglob(".*")]


def test_ctrl_c_cancels_the_job_and_what_is_resumed_is_whole(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench)
    runner.send_signal(signal.SIGINT)
    assert bench.finish(runner) == 130
    gone(bench, cluster)
    assert facts(bench)["status"] == "interrupted"
    assert bench.report()["interrupted"]
    resumed(bench)


def test_the_job_of_a_runner_that_was_killed_ends(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench)
    runner.kill()
    runner.communicate(timeout=PATIENCE)
    gone(bench, cluster)
    resumed(bench)


def test_a_job_that_somebody_cancels_says_nothing_of_the_server(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench)
    (job,) = cluster.jobs()
    cluster.said("scancel", job)
    assert bench.finish(runner) == 1
    gone(bench, cluster)
    run = facts(bench)
    assert (run["status"], run["failure"]) == ("failed", "harness")
    assert f"job {job}" in run["error"]
    assert "CANCELLED" in run["error"]
    assert attempts(bench)[0]["ended"] == "CANCELLED"
    resumed(bench)


def test_a_job_is_made_once_however_often_it_is_to_be_requeued(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench)
    (job,) = cluster.jobs()
    cluster.said("scontrol", "requeue", job)  # is refused: srun's jobs are nobody's but its own
    assert bench.finish(runner) == 0, bench.stderr
    assert [one["ended"] for one in attempts(bench)] == ["COMPLETED"]
    gone(bench, cluster)


def test_each_type_of_node_has_a_baseline_of_its_own(bench: Bench, cluster: Cluster) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one CPU makes one type of node")
    sweep = ("executor=slurm", "executor.constraint=small,big", "workers=1,2", "engine.rtf=0.02", "-m")
    assert bench.run(*sweep) == 0, bench.stderr
    found = {c["key"]: c for c in bench.report()["configurations"]}
    for feature in ("small", "big"):
        own = f"executor.constraint={feature}"
        assert {found[f"{own},workers={n}"]["baseline"] for n in (1, 2)} == {f"{own},workers=1"}
    assert len({c["node"] for c in found.values()}) == 2
    assert len(list((bench.out / "reference").iterdir())) == 2  # one for each type
    gone(bench, cluster)


def test_a_job_that_can_never_begin_is_told_at_once(bench: Bench, cluster: Cluster) -> None:
    assert bench.run("executor=slurm", "executor.constraint=huge", "reference=off", "trials_max=1") == 1
    assert "Invalid feature specification" in bench.stderr
    assert "started no job" in facts(bench)["error"]
    gone(bench, cluster)
