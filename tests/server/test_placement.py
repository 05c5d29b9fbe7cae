"""Workers that are pinned, as the kernel says it: whatever pool they are in, and whoever takes their place."""

import os
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from capsexp import topology
from capsexp.compose import compose
from capsexp.errors import RunRefused
from capsexp.placement import assign, listed
from capsexp.server import worker
from capsexp.server.app import pins
from tests.support import PATIENCE
from tests.support.servers import perform, requests, right, server, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pins on Linux")
HERE = topology.read()


def allowed(pid: int) -> set[frozenset[int]]:
    """The CPUs that each thread of a process may run on."""
    found = set()
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        text = status.read_text()
        found.add(listed(text.partition("Cpus_allowed_list:")[2].split()[0]))
    return found


def wanted(workers: int, kind: str) -> list[frozenset[int]]:
    found = assign(HERE, workers, 1, kind)
    assert found is not None
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["process", "prefork", "thread"])
@pytest.mark.parametrize("kind", ["spread", "pack"])
def test_every_worker_is_where_it_was_put(pool: str, kind: str) -> None:
    with server(f"pool={pool}", f"placement={kind}", "workers=2", "engine.rtf=0.02") as (url, process):
        assert all(right(perform(url, requests(3, 7.5))))
        each = [allowed(one.pid) for one in workers_of(process)]
        if pool == "thread":
            assert set(wanted(2, kind)) <= each[0]
        else:
            assert each == [{own} for own in wanted(2, kind)]
        assert allowed(process.pid) == {frozenset(os.sched_getaffinity(0))}  # the gateway is left alone


@pytest.mark.slow
def test_who_takes_a_workers_place_has_its_cpus() -> None:
    with server("placement=pack", "workers=2", "engine.rtf=0.02") as (url, process):
        first = workers_of(process)[0]
        first.kill()
        until = time.monotonic() + PATIENCE
        while first.pid in (left := {one.pid for one in workers_of(process)}) or len(left) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        while {cpus for one in workers_of(process) for cpus in allowed(one.pid)} != set(wanted(2, "pack")):
            assert time.monotonic() < until  # it is there a moment before it has read where it belongs
            time.sleep(0.05)
        assert all(right(perform(url, requests(3, 3))))


def test_nobody_is_pinned_unless_it_is_asked_for() -> None:
    assert pins(compose(["engine=null"]), 2) is None
    assert pins(compose(["engine=null", "placement=spread"]), 2) == tuple(wanted(2, "spread"))


@pytest.mark.skipif(HERE.nodes > 1, reason="needs a machine with one node")
def test_a_server_refuses_what_this_machine_does_not_have() -> None:
    with pytest.raises(RunRefused, match=r"^placement=numa: needs two NUMA nodes, but 1 NUMA node "):
        pins(compose(["engine=null", "placement=numa"]), 2)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_a_worker_that_cannot_be_pinned_says_so(shared: bool) -> None:
    settings = worker.settings_of(compose(["engine=null"]), None, [[100_000]])
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    target, given = (worker.main_threads, [theirs]) if shared else (worker.main, theirs)
    made = context.Process(target=target, args=(given, settings, 1, os.getpid()))
    made.start()
    theirs.close()
    assert ours.poll(PATIENCE)
    assert ours.recv().reason == "cannot be pinned to CPUs 100000: Invalid argument"
    made.join(PATIENCE)
    assert not made.is_alive()
