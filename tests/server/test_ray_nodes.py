"""Workers on nodes, as pool=ray has them: real agents, without Ray. What is lost with a node is done elsewhere."""

import asyncio
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from capsexp.client.request import ConnectionOptions
from capsexp.config import FaultConfig
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.errors import ServerError
from capsexp.experiment.faults import FaultEvent, FaultTarget, Injector
from capsexp.segments import Cut, Segment, cut_all
from capsexp.server.pools import ray_nodes
from tests.support import PATIENCE, noise
from tests.support.nodes import Cluster

pytestmark = [
    pytest.mark.slow,  # real processes
    pytest.mark.skipif(sys.platform != "linux", reason="pids, clocks and signals of Linux"),
]

INNER = ["process", "prefork", "thread"]
CUT = Cut.of(2.0, 0.5)


def segments(count: int) -> list[Segment]:
    return list(cut_all(noise(2.0 * count + 0.5, 1), CUT))[:count]


def text(segment: Segment) -> list[str]:
    return NullEngine(NullConfig()).recognize(np.asarray(segment.audio), segment.start, segment.shared).tokens


async def right(cluster: Cluster, count: int, act: Callable[[], object] = lambda: None, after_s: float = 0.3) -> int:
    """Recognize so many segments, and `act` meanwhile; returns how often one was begun again."""
    made = segments(count)
    futures = [cluster.pool.submit(one) for one in made]
    await asyncio.sleep(after_s)
    act()
    found = await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)
    assert [one.heard.tokens for one in found] == [text(one) for one in made]
    return sum(one.retries for one in found)


async def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE / 3
    while not what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("inner", INNER)
def test_workers_on_two_nodes_give_every_text(inner: str) -> None:
    async def main() -> None:
        async with Cluster(4, 2, inner, rtf=0.02).running() as cluster:
            assert await right(cluster, 24) == 0
            assert [what for what, _, _ in cluster.events if what != "loader"] == ["joined", "joined"]
            below = [{p.pid for p in cluster.agents.tree(node)} for node in (0, 1)]
            pids = [info.pid for info in cluster.pool.workers()]
            assert all(pid in below[number % 2] for number, pid in enumerate(pids))

    asyncio.run(main())


@pytest.mark.parametrize("inner", INNER)
def test_a_worker_that_is_killed_on_a_node_is_replaced_there(inner: str) -> None:
    async def main() -> None:
        async with Cluster(2, 2, inner, rtf=0.1).running() as cluster:
            victim = cluster.pool.workers()[1].pid
            assert victim is not None
            assert await right(cluster, 16, psutil.Process(victim).kill) >= 1
            await until(lambda: cluster.pool.workers()[1].pid not in (None, victim))
            assert ("died", 1) in [(what, info.worker) for what, info in cluster.seen]
            assert not any(what == "lost" for what, _, _ in cluster.events)

    asyncio.run(main())


def test_a_node_that_is_killed_loses_nothing_and_may_come_back() -> None:
    async def main() -> None:
        async with Cluster(2, 2, rtf=0.1).running() as cluster:

            def strike() -> None:
                for process in cluster.agents.tree(1):
                    process.kill()

            assert await right(cluster, 20, strike) >= 1
            assert [node for what, node, _ in cluster.events if what == "lost"] == [1]
            cluster.agents.again(1)
            await until(lambda: [one.index for one in cluster.launcher.nodes.all if one.up] == [0, 1])
            await until(lambda: [w.worker for what, w in cluster.seen if what == "ready"] == [0, 1, 1])
            assert await right(cluster, 8) == 0

    asyncio.run(main())


def test_a_node_that_is_frozen_is_lost_in_time_and_used_again_when_it_thaws() -> None:
    async def main() -> None:
        async with Cluster(2, 2, lost_s=1.0, rtf=0.1).running() as cluster:
            frozen = cluster.agents.tree(1)
            before = psutil.Process(cluster.pool.workers()[1].pid)

            def freeze() -> None:
                for process in frozen:
                    process.suspend()

            began = time.monotonic()
            assert await right(cluster, 20, freeze) >= 1
            await until(lambda: any(what == "lost" for what, _, _ in cluster.events))
            assert time.monotonic() - began < PATIENCE / 6
            for process in frozen:
                process.resume()
            await until(lambda: [what for what, node, _ in cluster.events if node == 1] == ["joined", "lost", "joined"])
            await until(lambda: [w.worker for what, w in cluster.seen if what == "ready"] == [0, 1, 1])
            assert await right(cluster, 8) == 0
            assert not before.is_running()

    asyncio.run(main())


def test_a_gateway_that_stands_still_with_its_nodes_loses_none() -> None:
    """As with Ctrl-Z: all of it sleeps for longer than lost_s, and nobody is to blame."""

    async def main() -> None:
        async with Cluster(1, 1, lost_s=0.5, rtf=0.1).running() as cluster:
            everybody = cluster.agents.tree(0)
            for process in everybody:
                process.suspend()
            beat = ray_nodes.Node.beat
            try:
                ray_nodes.Node.beat = lambda *arguments: None  # type: ignore[method-assign,assignment]
                await asyncio.sleep(1.5)
                for process in everybody:
                    process.resume()
            finally:
                ray_nodes.Node.beat = beat  # type: ignore[method-assign]
            cluster.launcher.nodes.all[0].beat(time.monotonic(), 0.5, late=True)
            assert await right(cluster, 6) == 0
            assert [what for what, _, _ in cluster.events] == ["joined"]

    asyncio.run(main())


def test_a_node_with_other_versions_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_nodes, "versions", lambda: {"capsexp": "0.0.0"})

    async def main() -> None:
        cluster = Cluster(1, 1)
        with pytest.raises(ServerError, match=r"node 0 .* is refused: it has capsexp .* instead of 0\.0\.0"):
            async with cluster.running():
                pass

    asyncio.run(main())


def test_a_node_whose_model_is_another_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster(1, 1)
        cluster.launcher.__dict__["_models"] = {"model.onnx": "0" * 64}
        with pytest.raises(ServerError, match=r"refused: it .*model\.onnx is not the gateway's"):
            async with cluster.running():
                pass

    asyncio.run(main())


def test_agents_end_with_a_gateway_that_ends_without_a_word() -> None:
    async def main() -> None:
        async with Cluster(2, 1).running() as cluster:
            everybody = cluster.agents.tree(0)
            cluster.agents.end()
            _, alive = psutil.wait_procs(everybody, timeout=PATIENCE / 6)
            assert not alive

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["kill_node", "freeze_node"])
def test_a_fault_strikes_one_node_and_all_of_its_workers(kind: str) -> None:
    fault = FaultConfig(name=kind, for_s=0.2)

    async def main() -> None:
        async with Cluster(4, 2, lost_s=5.0).running() as cluster:
            pids = [info.pid for info in cluster.pool.workers()]
            victims = [FaultTarget(number, psutil.Process(pid)) for number, pid in enumerate(pids)]
            told: list[FaultEvent] = []
            injector = Injector(fault, "", ConnectionOptions(None, None), lambda: victims, told.append)
            struck = {deed.worker for deed in injector.inject()}
            assert struck in ({0, 2}, {1, 3})
            assert {deed.worker for deed in told} == struck
            if kind == "kill_node":
                gone, _ = psutil.wait_procs([victims[number].process for number in struck if number], PATIENCE / 6)
                assert len(gone) >= 1
                await until(lambda: any(what == "lost" for what, _, _ in cluster.events))
            else:
                injector.stop()
                assert await right(cluster, 8) == 0
                assert not any(what == "lost" for what, _, _ in cluster.events)

    asyncio.run(main())
