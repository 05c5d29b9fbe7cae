"""The three kinds of pool behind the same server: what kills, freezes or refuses a worker, and what is left after."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from capsexp.client.load import run
from capsexp.client.request import Request
from capsexp.compose import compose
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.errors import ConfigError
from tests.support import PATIENCE, noise
from tests.support.servers import LOAD, perform, requests, right, server, workers_of

pytestmark = pytest.mark.slow  # real processes

POOLS = ["process", "prefork", "thread"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks after loading")


def during(url: str, made: list[Request], seconds: float, act: Callable[[], object]) -> list[Request]:
    """Send the requests, and `act` when they have been on their way for a while."""

    async def both() -> None:
        job = asyncio.create_task(run(made, url, LOAD))
        await asyncio.sleep(seconds)
        act()
        await job

    asyncio.run(both())
    return made


def until(what: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < PATIENCE / 6
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_gives_every_text(pool: str) -> None:
    with server(f"pool={pool}", "workers=3", "engine.rtf=0.02", "engine.jitter=1") as (url, _):
        assert all(right(perform(url, requests(0, 0.1, 3, 7.5, 20, 20))))


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_is_replaced_and_nothing_is_lost(pool: str) -> None:
    with server(f"pool={pool}", "workers=2", "engine.rtf=0.1") as (url, process):
        before = {p.pid for p in workers_of(process)}
        victim = workers_of(process)[0]
        assert all(right(during(url, requests(12, 12), 0.5, victim.kill)))
        until(
            lambda: len(workers_of(process)) == len(before) and victim.pid not in {p.pid for p in workers_of(process)}
        )


@pytest.mark.parametrize("pool", POOLS)
def test_a_frozen_worker_is_noticed_and_replaced(pool: str) -> None:
    limits = ("server.stuck_s=0.5", "server.stuck_rtf=0.2")
    with server(f"pool={pool}", "workers=2", "engine.rtf=0.1", *limits) as (url, process):
        victim = workers_of(process)[0]
        assert all(right(during(url, requests(12, 12), 0.3, victim.suspend)))
        assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE


@LINUX
def test_all_forked_workers_and_their_loader_at_once() -> None:
    with server("pool=prefork", "workers=3", "engine.rtf=0.1") as (url, process):
        forked = workers_of(process)
        (loader,) = {p.pid: p for w in forked for p in [w.parent()] if p is not None}.values()

        def strike() -> None:
            loader.kill()
            psutil.wait_procs(forked, timeout=PATIENCE / 6)

        assert all(right(during(url, requests(12, 12, 5), 0.5, strike)))
        until(lambda: len(workers_of(process)) == 3)


@LINUX
def test_forked_workers_share_what_was_loaded() -> None:
    with server("pool=prefork", "workers=3", "engine.memory_mb=200") as (url, process):
        assert all(right(perform(url, requests(3, 3, 3))))
        assert all(p.memory_full_info().uss < 100 * 2**20 for p in workers_of(process))
        assert sum(p.memory_info().rss > 200 * 2**20 for p in workers_of(process)) == 3


def test_threads_share_a_process_that_is_not_the_gateway() -> None:
    with server("pool=thread", "workers=3", "engine.memory_mb=200") as (url, process):
        assert all(right(perform(url, requests(3, 3, 3))))
        (one,) = workers_of(process)
        assert 200 < one.memory_info().rss / 2**20 < 400
        assert psutil.Process(process.pid).memory_info().rss < 200 * 2**20


@pytest.mark.parametrize("pool", ["prefork", "thread"])
def test_a_segment_that_kills_every_worker_fails_alone(pool: str) -> None:
    poison = NullEngine(NullConfig()).recognize(noise(3, 9)).tokens[0]
    with server(f"pool={pool}", "workers=2", f"engine.crash_on='{poison}'", "server.max_retries=1") as (url, _):
        made = perform(url, [Request(0, "bad", "bad", noise(3, 9))])
        assert made[0].error
        assert "died" in made[0].error
        assert all(right(perform(url, requests(4, 4))))


@pytest.mark.parametrize("pool", ["prefork", "thread"])
def test_nobody_outlives_a_killed_server(pool: str) -> None:
    with server(f"pool={pool}", "workers=2") as (_, process):
        below = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        _, alive = psutil.wait_procs(below, timeout=PATIENCE / 6)
        assert not alive


@pytest.mark.parametrize("pool", POOLS)
def test_an_engine_that_cannot_load_is_one_line(pool: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "capsexp.server", "--port", "0", f"pool={pool}" if pool != "thread" else "pool=process",
         f"engine.model_dir={tmp_path}"],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no acoustic model" in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize("pool", POOLS)
def test_ctrl_c_while_models_load_leaves_nothing(pool: str) -> None:
    command = [sys.executable, "-m", "capsexp.server", "--port", "0", f"pool={pool}", "engine=null", "engine.load_s=60"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: bool(workers_of(process)))  # type: ignore[arg-type]
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(PATIENCE) == 0
    assert time.monotonic() - began < PATIENCE / 12
    assert not psutil.wait_procs(below, timeout=PATIENCE / 12)[1]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["pool=prefork", "threads=2"], "pool=prefork: needs threads=1"),
        (["pool=thread"], "pool=thread: engine=sphinx cannot be shared by threads; use pool=process or pool=prefork"),
        (["pool=forked"], "pool: unknown pool 'forked'"),
    ],
)
def test_a_pool_that_cannot_serve_says_so_before_anything_starts(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(overrides)


def test_prefork_is_refused_where_forks_are_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="only Linux"):
        compose(["pool=prefork"])
