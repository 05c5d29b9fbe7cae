"""pool=ray on a cluster of its own, from nothing to nothing."""

import glob
import os
import signal
import sys
import time
from importlib.util import find_spec

import psutil
import pytest

from capsexp.compose import compose
from capsexp.errors import ConfigError
from tests.support import PATIENCE
from tests.support.servers import perform, requests, right, server

RAY = pytest.mark.skipif(find_spec("ray") is None, reason="needs the package ray: pip install 'capsexp[ray]'")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Ray on Linux")


def ours() -> set[str]:
    return set(glob.glob("/tmp/cx-ray-*"))


def lives(process: psutil.Process) -> bool:
    """A zombie that a slow init has yet to reap does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@RAY
@LINUX
@pytest.mark.slow
def test_two_nodes_of_a_cluster_of_its_own_give_every_text_and_leave_nothing() -> None:
    before = ours()
    with server("pool=ray", "pool.nodes=2", "workers=2", "engine.rtf=0.02", "server.grace=20") as (url, process):
        below = psutil.Process(process.pid).children(recursive=True)
        assert len([p for p in below if "ray_agent" in " ".join(p.cmdline())]) == 2
        assert all(right(perform(url, requests(0, 0.1, 3, 7.5, 20, 20))))
    assert ours() == before


@RAY
@LINUX
@pytest.mark.slow
def test_nobody_outlives_a_server_that_was_killed() -> None:
    before = ours()
    with server("pool=ray", "workers=1") as (_, process):
        below = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE / 2
        while alive := [process for process in below if lives(process)]:
            assert time.monotonic() < until, alive
            time.sleep(0.1)
    assert ours() == before


@RAY
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["workers=1", "pool.nodes=2"], "workers: 1 are fewer than pool.nodes=2"),
        (["workers=auto"], "workers: auto with pool=ray needs pool.per_node"),
        (["workers=5", "pool.nodes=2", "pool.per_node=2"], "workers: 5 do not fit on pool.nodes=2"),
        (["pool.address=somewhere"], "pool.address: somewhere is no address"),
        (["pool.inner=prefork", "threads=2"], "pool.inner=prefork: needs threads=1"),
        (["placement=spread"], "placement=spread: is for workers on this machine"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(["engine=null", "pool=ray", *given])


def test_without_ray_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsexp.config.pool.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'capsexp\[ray\]'"):
        compose(["engine=null", "pool=ray"])


@pytest.mark.parametrize("fault", ["kill_node", "freeze_node"])
def test_a_fault_of_a_node_needs_a_node_that_is_reached(fault: str) -> None:
    with pytest.raises(ConfigError, match=rf"fault={fault}: needs pool=ray pool.address=local"):
        compose(["engine=null", f"fault={fault}"])
