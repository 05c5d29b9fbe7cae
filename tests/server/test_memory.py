"""How many workers fit."""

import asyncio
import math
import sys
import time
from typing import Any, ClassVar

import numpy as np
import pytest

from capsexp.engines.null import NullConfig
from capsexp.errors import RunRefused
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition, Segment
from capsexp.server import capacity
from capsexp.server.capacity import refuse_or_reduce
from capsexp.server.measuring import measure
from capsexp.server.messages import Failed, Measured, WorkerSettings
from capsexp.server.pools import launcher
from capsexp.server.pools.base import Recognized
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.worker import Loaded
from tests.support import PATIENCE, noise


@pytest.mark.parametrize(("count", "used", "fits"), [(4, 100, 4), (4, 300, 4), (6, 300, 4), (2, 5000, 1), (9, 0, 9)])
def test_a_tenth_of_the_memory_stays_free(monkeypatch: pytest.MonkeyPatch, count: int, used: float, fits: int) -> None:
    monkeypatch.setattr(capacity, "available_mb", lambda: 1000.0)
    monkeypatch.setattr(capacity, "total_mb", lambda: 1000.0)
    said: list[str] = []
    assert refuse_or_reduce("reduce", said.append)(count, used) == fits
    assert bool(said) == (fits < count)
    if fits < count:
        assert f"reduced to {fits}" in said[0]
        with pytest.raises(RunRefused, match="do not fit"):
            refuse_or_reduce("refuse", said.append)(count, used)


@pytest.mark.parametrize("available", [0.0, 30.0, 99.0])
def test_no_memory_is_never_a_negative_number(monkeypatch: pytest.MonkeyPatch, available: float) -> None:
    monkeypatch.setattr(capacity, "available_mb", lambda: available)
    monkeypatch.setattr(capacity, "total_mb", lambda: 1000.0)
    said: list[str] = []
    assert refuse_or_reduce("reduce", said.append)(3, 123) == 1
    assert "-" not in said[0]
    assert f"{available:.0f} MB are available, of which 100 MB" in said[0]


def test_a_first_worker_that_a_long_segment_ended_stays_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "available_mb", lambda: 10_000.0)
    said: list[str] = []
    assert refuse_or_reduce("reduce", said.append)(3, math.inf) == 1
    assert "inf" not in said[0]


def test_a_long_segment_is_measured_where_it_may_decide_how_many_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """15, 60, 200, 600 s took 114, 161, 522, 3325 MB with the smallest model: its own guess is above each of them."""
    monkeypatch.setattr(capacity, "total_mb", lambda: 24_000.0)
    monkeypatch.setattr(capacity, "available_mb", lambda: 22_000.0)
    assert capacity.is_ample(17.0)(4, 200.0)
    assert not capacity.is_ample(120.0)(16, 200.0)
    monkeypatch.setattr(capacity, "available_mb", lambda: 3_000.0)
    assert not capacity.is_ample(17.0)(4, 200.0)
    for seconds, takes in ((15, 114), (60, 161), (200, 522), (600, 3325)):
        monkeypatch.setattr(capacity, "available_mb", lambda takes=takes: 2_400.0 + 2.0 * takes)
        assert not capacity.is_ample(seconds)(2, 114.0)


class Greedy:
    """An engine that holds memory while it recognizes: `mb` for each second of audio."""

    about: ClassVar[dict[str, Any]] = {}

    def __init__(self, mb: float) -> None:
        self.mb = mb

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        held = np.ones(int(self.mb * 2**17 * len(audio) / RATE))
        time.sleep(0.1)
        del held
        return Recognition([])


def test_what_a_segment_takes_is_seen_at_its_peak() -> None:
    measured = measure(Loaded(Greedy(10.0), None), 20.0)
    assert isinstance(measured, Measured)
    assert measured.grown_mb == pytest.approx(200, abs=40)
    assert measured.freed_mb == pytest.approx(200, abs=40)


class Slow(Greedy):
    """Takes `pace` x the square of a segment's seconds; keeps nothing."""

    def __init__(self, mb: float, pace: float, power: float) -> None:
        super().__init__(mb)
        self.pace, self.power, self.heard = pace, power, list[float]()

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        seconds = len(audio) / RATE
        self.heard.append(seconds)
        held = np.ones(int(self.mb * 2**17 * seconds**self.power))
        time.sleep(self.pace * seconds**2)
        del held
        return Recognition([])


@pytest.mark.parametrize(("mb", "power"), [(20.0, 1.0), (8.0, 2.0)])
def test_a_slow_engine_is_measured_in_bounded_time(mb: float, power: float) -> None:
    """The longest segment would take 40 s here, and minutes with 120 s of audio."""
    engine = Slow(mb, 0.1, power)
    began = time.monotonic()
    measured = measure(Loaded(engine, None), 20.0, 4.0)
    assert time.monotonic() - began < 4.0 + PATIENCE / 4  # of the 40 that the longest would take
    assert isinstance(measured, Measured)
    assert measured.heard_s == max(engine.heard) < 20.0
    # From one length alone, where a busy machine left no time for a second, the worst is taken: a square.
    worst = mb * measured.heard_s**power * (20.0 / measured.heard_s) ** 2
    assert 0.5 * mb * 20.0**power < measured.grown_mb < 1.5 * worst
    assert measured.freed_mb == pytest.approx(measured.grown_mb, rel=0.3)


def test_a_fast_engine_is_measured_by_the_longest_segment() -> None:
    engine = Slow(10.0, 0.0005, 1.0)
    measured = measure(Loaded(engine, None), 20.0)
    assert isinstance(measured, Measured)
    assert measured.heard_s is None
    assert engine.heard[-1] == 20.0


def test_an_engine_that_cannot_take_the_longest_segment_says_so() -> None:
    class Broken(Greedy):
        def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
            raise MemoryError

    measured = measure(Loaded(Broken(0.0), None), 1.0)
    assert isinstance(measured, Failed)
    assert measured.passing


@pytest.mark.parametrize("pool", ["process", "prefork", "thread"])
def test_workers_are_counted_by_what_the_longest_segment_takes(pool: str) -> None:
    """A further process takes a model of its own, a fork or a thread what its segments take."""
    if pool == "prefork" and sys.platform != "linux":
        pytest.skip("forks after loading")
    settings = WorkerSettings(engine=vars(NullConfig(memory_mb=150.0)), punctuation={"name": "none"})
    found: list[float] = []

    def fits(count: int, each_mb: float) -> int:
        found.append(each_mb)
        return 1

    async def all_of_it() -> Recognized:
        made = launcher(pool, settings, 1, 3, lambda pid: None)
        workers = WorkerPool(made, 3, 0, fits=fits, longest_s=200.0, ample=lambda count, each_mb: False)
        try:
            await workers.start()
            assert len(workers.workers()) == 1
            return await workers.submit(Segment(0, 0, 0, noise(1.0, 1)))
        finally:
            began = time.monotonic()
            await workers.stop(PATIENCE)
            assert time.monotonic() - began < PATIENCE / 2  # not for threads that nobody claimed

    assert asyncio.run(all_of_it()).heard.tokens
    assert (found[0] > 150) == (pool == "process")
    assert found[0] > 12  # the audio alone
