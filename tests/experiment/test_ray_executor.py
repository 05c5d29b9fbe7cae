"""executor=ray on a real cluster of two nodes: the same sweep as here, and whatever happens to its runs."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from capsexp.compose import compose
from capsexp.errors import ConfigError
from capsexp.runfiles import OWNER
from tests.support import PATIENCE
from tests.support.bench import SWEEP_S, Bench
from tests.support.jobs import attempts, facts, measured, resumed
from tests.support.ray_cluster import Cluster, lacking
from tests.support.slurm import holders

REAL = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")
SLOW = ("executor=ray", "engine.rtf=0.3", "workers=1", "trials_max=1", "reference=off")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.down()


def gone(bench: Bench) -> None:
    """No process is left within a moment."""
    until = time.monotonic() + PATIENCE
    while left := bench.left():
        assert time.monotonic() < until, left
        time.sleep(0.1)


def under_load(bench: Bench, cluster: Cluster, *more: str) -> Any:
    runner = bench.start(*SLOW, f"executor.address={cluster.address}", *more)
    bench.until(runner, "0-*/.attempt-*/segments.csv")
    return runner


@REAL
def test_a_sweep_is_the_same_as_here_and_no_file_holds_its_token(bench: Bench, cluster: Cluster) -> None:
    token = "a-token-that-nobody-writes-down"
    both = {}
    for executor in (["executor=local"], ["executor=ray", f"executor.address={cluster.address}"]):
        bench.out = bench.out.with_name(executor[0])
        assert bench.run(*executor, "workers=1,2", "engine.rtf=0.02", f"server.token={token}", "-m") == 0, bench.stderr
        both[executor[0]] = measured(bench.report())
    assert both["executor=ray"] == both["executor=local"]
    (one,) = attempts(bench)
    assert (one["executor"], one["ended"]) == ("ray", "ended")
    # Both runs, and what they are compared with, were made on one node.
    assert {a["node"] for run in ("0-workers=1", "1-workers=2") for a in attempts(bench, run)} == {one["node"]}
    assert not holders(token, bench.out.parent, cluster.folder)
    assert not [path.name for path in bench.out.rglob(".*")]


@REAL
def test_ctrl_c_ends_the_run_and_what_is_resumed_is_whole(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench, cluster)
    runner.send_signal(signal.SIGINT)
    assert bench.finish(runner) == 130
    assert facts(bench)["status"] == "interrupted"
    assert bench.report()["interrupted"]
    resumed(bench)


@REAL
def test_the_run_of_a_runner_that_was_killed_ends(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench, cluster)
    runner.kill()
    runner.communicate(timeout=PATIENCE)
    gone(bench)


@REAL
def test_who_holds_a_run_may_be_killed_and_it_says_nothing_of_the_server(bench: Bench, cluster: Cluster) -> None:
    runner = under_load(bench, cluster, "executor.constraint=big")
    (owner,) = bench.out.glob(f"0-*/.attempt-*/{OWNER}")
    holder = psutil.Process(json.loads(owner.read_text())["pid"]).parent()
    assert holder is not None
    holder.kill()
    assert bench.finish(runner) == 1
    run = facts(bench)
    assert (run["status"], run["failure"]) == ("failed", "harness")
    assert "on node2 was lost" in run["error"]
    assert attempts(bench)[0]["ended"] == "lost"


@REAL
def test_nodes_are_chosen_by_name_and_by_resource(bench: Bench, cluster: Cluster) -> None:
    sweep = ("executor=ray", f"executor.address={cluster.address}", "executor.constraint=small,big", "engine.rtf=0.02")
    assert bench.run(*sweep, "workers=1", "-m") == 0, bench.stderr
    for feature, node in (("small", "node1"), ("big", "node2")):
        (run,) = bench.out.glob(f"*-executor.constraint={feature}*")
        assert [one["node"] for one in attempts(bench, run.name)] == [node]


@REAL
def test_a_node_that_is_not_there_is_told_with_those_that_are(bench: Bench, cluster: Cluster) -> None:
    more = ("executor=ray", f"executor.address={cluster.address}", "reference=off", "trials_max=1")
    assert bench.run(*more, "executor.node=elsewhere") == 1
    error = facts(bench)["error"]
    assert error.startswith("executor.node=elsewhere: no node of the cluster matches")
    assert "node1" in error and "node2" in error


@REAL
def test_a_cluster_that_does_not_answer_is_told_at_once(bench: Bench) -> None:
    assert bench.run("executor=ray", "executor.address=127.0.0.1:1", "reference=off", "trials_max=1") == 2
    assert "executor.address=127.0.0.1:1: no answer" in bench.stderr
    assert not bench.out.exists()


@REAL
def test_a_node_that_dies_says_nothing_of_the_server(bench: Bench) -> None:
    cluster = Cluster()
    try:
        # A load that lasts until it is noticed.
        runner = under_load(bench, cluster, "executor.constraint=big", "load.repeats=20", "executor.lost_s=20")
        os.kill(cluster.raylets["node2"], signal.SIGKILL)
        runner.communicate(timeout=SWEEP_S)
        assert runner.returncode == 1
        gone(bench)  # whoever held the run there has to notice first
        assert "was lost" in facts(bench)["error"]
        assert attempts(bench)[0]["ended"] == "lost"
    finally:
        cluster.down()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("executor.address=somewhere", "executor.address: somewhere is no address"),
        ("executor.partition=all", "executor.partition: is Slurm's"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(["engine=null", "executor=ray", given])
