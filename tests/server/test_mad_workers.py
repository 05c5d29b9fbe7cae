"""Workers that lie, raise, stand still or never come to life: real processes behind the real dispatcher."""

import asyncio
import contextlib
import errno
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from capsexp import cgroup
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.errors import ServerError
from capsexp.segments import Recognition, Segment
from capsexp.server import worker
from capsexp.server.core import supervisor
from capsexp.server.messages import (
    Done,
    Failed,
    Measure,
    Measured,
    SegmentJob,
    Skipped,
    Started,
    WorkerReady,
    WorkerSettings,
    receive_job,
)
from capsexp.server.pools import launcher
from capsexp.server.pools.answers import invalid_reply
from capsexp.server.pools.base import Recognized, WorkerInfo, patience
from capsexp.server.pools.pool import WorkerPool
from capsexp.server.pools.process import ProcessLauncher, ProcessWorkerHandle
from capsexp.server.pools.thread import ThreadLauncher
from tests.support import PATIENCE, SLOW, noise

pytestmark = pytest.mark.slow  # real processes

SETTINGS = WorkerSettings(engine=vars(NullConfig()), punctuation={"name": "none"})
QUICK = 2.0 * SLOW  # s for a segment, before its worker counts as stuck


def segments(count: int, seconds: float = 1.0) -> list[Segment]:
    return [Segment(n, 0, 0, noise(seconds, n)) for n in range(count)]


def heard(segment: Segment) -> list[str]:
    return NullEngine(NullConfig()).recognize(segment.audio).tokens


ANSWERS: dict[str, Callable[[int], object]] = {
    "a word": lambda number: "hello",
    "another id": lambda number: Done(number + 7, Recognition(["x"], [0.1]), 0.0, 0.0),
    "fewer times than tokens": lambda number: Done(number, Recognition(["x", "y"], [0.1]), 0.0, 0.0),
    "it raises": lambda number: Failed(number, "boom"),
}


def mad(pipe: Connection, way: str, parent: int) -> None:
    """A worker that goes mad at its first segment."""
    worker.prepare(1, parent, SETTINGS)
    if way == "never ready":
        time.sleep(3600)
    if way == "dies at start":
        os._exit(3)
    pipe.send(WorkerReady(0.01, {}))
    job = receive_job(pipe)
    if way == "half an answer":
        os.write(pipe.fileno(), b"\0\0\1\0abc")
    elif way == "unreadable":
        os.write(pipe.fileno(), b"\0\0\0\1x")
    elif way == "answers twice":
        done = Done(job.id, NullEngine(NullConfig()).recognize(job.audio), 0.0, 0.0)
        pipe.send(done)
        pipe.send(done)
    elif way == "stands still":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        pipe.send(ANSWERS[way](job.id))
    time.sleep(3600)


class MadLauncher(ProcessLauncher):
    """The first `mad` workers it starts are mad, the others sound."""

    def __init__(self, way: str, first: int, count: int) -> None:
        super().__init__(SETTINGS, 1)
        self.way, self.started, self.mad = way, 0, range(first, first + count)
        self.went_mad: list[Any] = []

    def start(self, number: int) -> ProcessWorkerHandle:
        self.started += 1
        if self.started - 1 not in self.mad:
            return super().start(number)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=mad, args=(theirs, self.way, os.getpid()), daemon=True)
        process.start()
        theirs.close()
        self.went_mad.append(process)
        return ProcessWorkerHandle(process, ours)

    def left(self) -> int:
        """Mad workers that are still alive: nobody is to live on who was replaced."""
        return sum(process.is_alive() for process in self.went_mad)


class Run:
    """A pool of `count`, the segments put through it, and what became of its workers."""

    def __init__(self, launcher: Any, count: int, retries: int = 2) -> None:
        self.launcher, self.count, self.retries = launcher, count, retries
        self.events: list[tuple[str, str]] = []

    def put(self, work: list[Segment], during: Callable[[WorkerPool], Any] | None = None, deaths: int = 0) -> list[Any]:
        """Ends when all is answered and so many workers were seen to die: a mad answer may come after the last."""

        async def all_of_it() -> list[Any]:
            pool = WorkerPool(
                self.launcher, self.count, self.retries, self._saw, patience=lambda w: QUICK, load_patience=PATIENCE
            )
            try:
                await pool.start()
                futures = [pool.submit(segment) for segment in work]
                if during is not None:
                    await during(pool)
                found = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), PATIENCE / 2)
                until = time.monotonic() + PATIENCE / 2
                while len(self.deaths()) < deaths and time.monotonic() < until:
                    await asyncio.sleep(0.01)
                return found
            finally:
                await pool.stop(1.0)

        return asyncio.run(all_of_it())

    def _saw(self, what: str, info: WorkerInfo) -> None:
        self.events.append((what, info.reason))

    def deaths(self) -> list[str]:
        return [reason for what, reason in self.events if what == "died"]


def assert_right(work: list[Segment], outcomes: list[Any]) -> None:
    for segment, outcome in zip(work, outcomes, strict=True):
        assert isinstance(outcome, Recognized), outcome
        assert outcome.heard.tokens == heard(segment)


@pytest.mark.parametrize("way", [*ANSWERS, "half an answer", "answers twice", "unreadable", "stands still"])
def test_a_mad_worker_is_replaced_and_its_segment_goes_to_another(way: str) -> None:
    run, work = Run(MadLauncher(way, 1, 1), 2), segments(6)
    assert_right(work, run.put(work, deaths=1))
    assert len(run.deaths()) == 1, run.events
    assert run.launcher.started == 3
    assert run.launcher.left() == 0


def test_all_workers_at_once() -> None:
    async def strike(pool: WorkerPool) -> None:
        for info in pool.workers():
            assert info.pid is not None
            os.kill(info.pid, signal.SIGKILL)

    run, work = Run(ProcessLauncher(SETTINGS, 1), 3), segments(12)
    assert_right(work, run.put(work, strike))
    assert len(run.deaths()) == 3


def test_who_is_stopped_together_with_its_workers_does_not_take_them_for_stuck() -> None:
    """Ctrl-Z and fg, or a machine that was asleep."""

    async def stop_all(pool: WorkerPool) -> None:
        await asyncio.sleep(0.3)
        pids = [info.pid or 0 for info in pool.workers()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(QUICK + 1.5)  # the gateway, too
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    settings = replace(SETTINGS, engine={**SETTINGS.engine, "rtf": 0.8})
    run, work = Run(ProcessLauncher(settings, 1), 2, retries=0), segments(4)
    assert_right(work, run.put(work, stop_all))
    assert run.deaths() == []


class LateLauncher(ProcessLauncher):
    """The first worker has the machine for itself, the others load all at once."""

    def start(self, number: int) -> ProcessWorkerHandle:
        settings = replace(SETTINGS, engine=vars(NullConfig(load_s=1.5 if number else 0.0)))
        return ProcessLauncher(settings, 1).start(number)


def test_workers_that_load_together_may_take_longer_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_S", 0.0)
    monkeypatch.setattr(supervisor, "LOADS", 1)
    run, work = Run(LateLauncher(SETTINGS, 1), 3), segments(3)
    assert_right(work, run.put(work))
    assert run.deaths() == []


def test_a_replacement_that_never_becomes_ready_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_S", 0.5)
    monkeypatch.setattr(supervisor, "LOADS", 3)  # times as long as the first one took
    run, work = Run(MadLauncher("never ready", 1, 1), 1), segments(3)

    async def strike(pool: WorkerPool) -> None:
        os.kill(pool.workers()[0].pid or 0, signal.SIGKILL)

    assert_right(work, run.put(work, strike))
    killed, late = run.deaths()
    assert killed == "exit code -9"
    assert late.startswith("not ready within")


def test_a_worker_that_cannot_be_replaced_leaves_the_others_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_S", 0.02)
    run, work = Run(MadLauncher("dies at start", 2, 99), 2), segments(40)

    async def strike(pool: WorkerPool) -> None:
        os.kill(pool.workers()[0].pid or 0, signal.SIGKILL)
        while len(run.deaths()) < 5:  # more than would make a pool give up that has nobody else
            await asyncio.sleep(0.01)
            assert not pool.broken.is_set()

    assert_right(work, run.put(work, strike))


def test_a_pool_that_cannot_come_back_gives_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_S", 0.1)
    run, work = Run(MadLauncher("dies at start", 2, 99), 2), segments(12)
    broken: list[str] = []

    async def strike(pool: WorkerPool) -> None:
        for info in pool.workers():
            os.kill(info.pid or 0, signal.SIGKILL)
        await asyncio.wait_for(pool.broken.wait(), PATIENCE)
        broken.append(pool.reason)

    outcomes = run.put(work, strike)
    assert "3 times in a row while loading: exit code 3" in broken[0]
    assert all(isinstance(o, (Recognized, ServerError)) for o in outcomes)
    assert any(isinstance(o, ServerError) and str(o) == broken[0] for o in outcomes)
    assert len(run.deaths()) <= 2 + 2 * 3


def test_a_poison_segment_in_a_shared_process_takes_no_innocent_with_it() -> None:
    work = segments(12)
    settings = replace(SETTINGS, engine={**SETTINGS.engine, "crash_on": heard(work[4])[0], "rtf": 0.05})
    run = Run(ThreadLauncher(settings, 1, 3), 3, retries=1)
    outcomes = run.put(work)
    poison = outcomes.pop(4)
    assert isinstance(poison, ServerError)
    assert "segment 4 failed 2 times" in str(poison)
    assert_right([s for s in work if s.index != 4], outcomes)
    # It ran twice, with others and alone, and each time three workers died; once more where a death was seen before the
    # answer to what its worker had finished just then, so that another was taken for the one that had begun.
    assert len(run.deaths()) in (2 * 3, 3 * 3)


def test_what_nobody_waits_for_any_more_is_not_recognized() -> None:
    settings = replace(SETTINGS, engine={**SETTINGS.engine, "rtf": 0.6})
    work, took, kept = segments(20), [], []

    async def all_of_it() -> None:
        pool = WorkerPool(ProcessLauncher(settings, 1), 1, 0)
        await pool.start()
        try:
            gone = [pool.submit(segment) for segment in work]
            await asyncio.sleep(0.05)  # one is at work, one waits in the worker, the others in the queue
            began = time.monotonic()
            for future in gone:
                future.cancel()
            await asyncio.sleep(0)
            kept.append(pool.scheduler.waiting)  # their audio is let go at once
            await pool.submit(work[0])
            took.append(time.monotonic() - began)
        finally:
            await pool.stop(1.0)

    asyncio.run(all_of_it())
    assert kept == [0]
    assert took[0] < 1.65  # the one at work, and the new one; not the one that waited in the worker


BELIEVED = Recognition(["a", "b"], [0.0, 0.5])


@pytest.mark.parametrize(
    ("message", "ready", "wrong"),
    [
        (Done(5, BELIEVED, 1.0, 2.0), True, None),
        (Done(5, Recognition(["a", "b"]), 1.0, 2.0), True, None),
        (Done(6, BELIEVED, 1.0, 2.0), True, "where 5 was due"),
        (Done(5, BELIEVED, float("nan"), 2.0), True, "no numbers"),
        (Done(5, Recognition(["a"], [float("nan")]), 1.0, 2.0), True, "outside"),
        (Done(5, Recognition(["a"], [-0.5]), 1.0, 2.0), True, "outside"),
        (Done(5, Recognition("ab", []), 1.0, 2.0), True, "none"),  # type: ignore[arg-type]
        (Done(True, BELIEVED, 1.0, 2.0), True, "due"),
        (Failed(5, "x"), True, None),
        (Failed(6, "x"), True, "due"),
        (Failed(None, "x"), False, None),
        (Skipped(5), True, None),
        (WorkerReady(0.1, {}), False, None),
        (WorkerReady(0.1, {}), True, "already"),
        (Started(7), False, None),
        (Measured(1.0, 1.0), True, "not requested"),
        (Measured(1.0, 1.0, float("nan")), True, "not requested"),
        (SegmentJob(5, np.zeros(1, np.float32), 0, 0), True, "a SegmentJob"),
    ],
)  # fmt: skip
def test_what_can_be_believed(message: object, ready: bool, wrong: str | None) -> None:
    said = invalid_reply(message, ready, {5: segments(1)[0], 6: segments(1)[0]})
    assert (said is None) == (wrong is None), said
    assert wrong is None or wrong in (said or "")


@pytest.mark.parametrize("characters", [10, 1_000, 20_000, 300_000])
def test_the_time_for_a_text_grows_with_it(characters: int) -> None:
    """An hour of speech is some 20,000 characters: at 2,000 a second, as the slowest models do, that is 10 s."""
    text = "\u5b57" * characters
    assert patience(text, 10.0, 5.0) >= 10.0 + 3 * characters / 2_000 / 5.0
    assert patience(text + text, 10.0, 5.0) - 10.0 == pytest.approx(2 * (patience(text, 10.0, 5.0) - 10.0))
    assert patience(segments(1, 2.0)[0], 10.0, 5.0) == 20.0
    assert patience(Measure(2.0), 10.0, 5.0) == 20.0


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="descriptors as Linux counts them")


@LINUX
@pytest.mark.parametrize("kind", ["process", "prefork", "thread"])
def test_a_worker_is_replaced_when_connections_hold_every_descriptor(kind: str) -> None:
    """What the workers need is reserved: that others have taken all the rest is not their fault."""
    run, work, held = Run(launcher(kind, SETTINGS, 1, 2, lambda pid: None), 2), segments(6), []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def strike(pool: WorkerPool) -> None:
        lowest = max(map(int, os.listdir("/proc/self/fd"))) + 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for info in pool.workers()[:1]:
            os.kill(info.pid or 0, signal.SIGKILL)
        # The descriptors that the dead one leaves are taken as well, as a crowd of clients would.
        for _ in range(3):
            await asyncio.sleep(0.2)
            with contextlib.suppress(OSError):
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
        until = time.monotonic() + PATIENCE / 2
        while ready() < 3 + (kind == "thread") and time.monotonic() < until:  # a busy machine takes its time
            await asyncio.sleep(0.01)

    def ready() -> int:
        return [what for what, _ in run.events].count("ready")

    try:
        assert_right(work, run.put(work, strike, deaths=1))
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert ready() >= 3 + (kind == "thread")


class Refusing(ProcessLauncher):
    """After the first `sound` starts the system has no room for `refused` times."""

    def __init__(self, sound: int, refused: int, error: BaseException) -> None:
        super().__init__(SETTINGS, 1)
        self.sound, self.refused, self.error, self.started = sound, refused, error, 0

    def start(self, number: int) -> ProcessWorkerHandle:
        self.started += 1
        if self.sound < self.started <= self.sound + self.refused:
            raise self.error
        return super().start(number)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EAGAIN, "Try again"), OSError(errno.ENOMEM, "Memory"),
     MemoryError(), RuntimeError("can't start new thread")],
)  # fmt: skip
def test_that_the_system_has_no_room_is_no_worker_s_fault(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """All workers die and cannot be started for longer than makes a pool give up: it says so, waits and comes back."""
    monkeypatch.setattr(supervisor, "BACKOFF_S", 0.01)
    run, work = Run(Refusing(2, 9, error), 2), segments(8)

    async def strike(pool: WorkerPool) -> None:
        for info in pool.workers():
            os.kill(info.pid or 0, signal.SIGKILL)

    assert_right(work, run.put(work, strike, deaths=2))
    waits = [reason for what, reason in run.events if what == "waiting"]
    assert len(waits) == 9
    assert all("cannot be started now: " in reason for reason in waits)


def test_a_pool_that_cannot_begin_says_what_to_raise() -> None:
    run = Run(Refusing(1, 99, OSError(errno.EMFILE, "Too many open files")), 2)
    with pytest.raises(ServerError, match=r"worker 1 cannot be started: Too many open files; lower `workers`, or"):
        run.put(segments(1))


def test_a_worker_that_the_kernel_ended_for_its_memory_is_told_from_one_that_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills = [5]
    monkeypatch.setattr(cgroup, "oom_kills", lambda: kills[0])
    run, work = Run(ProcessLauncher(SETTINGS, 1), 2), segments(4)

    async def strike(pool: WorkerPool) -> None:
        first, second = (info.pid or 0 for info in pool.workers())
        kills[0] += 1
        os.kill(first, signal.SIGKILL)
        while not run.deaths():
            await asyncio.sleep(0.01)
        os.kill(second, signal.SIGKILL)

    assert_right(work, run.put(work, strike, deaths=2))
    assert run.deaths() == ["exit code -9: the kernel ended it, as its memory limit was reached (out of memory)",
                            "exit code -9"]  # fmt: skip
