"""Pipes that end while threads use them: nobody may write to, or read from, what has got the pipe's number since."""

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.engines.null import NullConfig, NullEngine
from capsexp.segments import Recognition
from capsexp.server import worker
from capsexp.server.messages import Done, Failed, SegmentJob, TextJob, WorkerReady, receive_job, send_job
from capsexp.server.pools import wire as wire_module
from capsexp.server.pools.wire import Wire
from capsexp.server.worker import Loaded
from tests.support import PATIENCE, noise

LARGE = np.zeros(2**20, np.float32)  # more than a pipe holds


def until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE / 6
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    return what()


def test_a_pipe_is_closed_only_when_nobody_writes_to_it_any_more() -> None:
    """The reader has seen something mad while a segment was being written: its number stays taken until that ends."""
    ours, theirs = multiprocessing.Pipe()
    number, ended = ours.fileno(), threading.Event()
    wire = Wire(ours, lambda message: None, ended.set)
    wire.put(SegmentJob(1, LARGE, 0, 0))
    os.write(theirs.fileno(), b"\0\0\0\1x")  # a message that cannot be read
    assert ended.wait(PATIENCE)
    wire.finish()  # what the dispatcher says then
    time.sleep(0.1)
    assert wire.alive() and not ours.closed  # it still waits for room in the pipe
    assert os.fstat(number)
    theirs.close()  # the worker has died
    assert until(lambda: not wire.alive())
    assert ours.closed


def test_what_is_written_when_a_worker_dies_ends_without_a_word() -> None:
    for _ in range(50):
        ours, theirs = multiprocessing.Pipe()
        ended = threading.Event()
        wire = Wire(ours, lambda message: None, ended.set)
        for number in range(3):
            wire.put(SegmentJob(number, LARGE, 0, 0))
        theirs.close()
        assert ended.wait(PATIENCE)
        wire.finish()
        assert until(lambda wire=wire: not wire.alive())  # type: ignore[misc]
        assert ours.closed


def test_what_has_been_put_arrives_before_the_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    wire = Wire(ours, lambda message: None, lambda: None)
    wire.put(SegmentJob(1, LARGE, 0, 0))
    wire.finish()
    received = receive_job(theirs)
    assert isinstance(received, SegmentJob) and received.audio.tobytes() == LARGE.tobytes()
    with pytest.raises(EOFError):
        theirs.recv()
    theirs.close()
    assert until(lambda: ours.closed)


@pytest.mark.parametrize("after", [0, 1])
def test_no_thread_to_be_had_leaves_nothing_open(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scarce(threading.Thread):
        started = 0

        def start(self) -> None:
            Scarce.started += 1
            if Scarce.started > after:
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(wire_module.threading, "Thread", Scarce)
    ours, theirs = multiprocessing.Pipe()
    with pytest.raises(RuntimeError):
        Wire(ours, lambda message: None, lambda: None)
    assert until(lambda: ours.closed)
    theirs.close()


class Odd:
    """An engine whose first answer is `answer`, and the others a null engine's."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.about: dict[str, Any] = {}
        self._answer: Callable[[], Any] | None = answer

    def recognize(self, audio: Any, start: int = 0, shared: int = 0) -> Any:
        answer, self._answer = self._answer, None
        return answer() if answer else NullEngine(NullConfig()).recognize(audio, start, shared)


def serve(answer: Callable[[], Any]) -> tuple[Connection, threading.Thread]:
    ours, theirs = multiprocessing.Pipe()

    def work() -> None:
        with contextlib.suppress(SystemExit):
            worker.serve(Loaded(Odd(answer), None), theirs, 0.0, False)

    serving = threading.Thread(target=work, daemon=True)
    serving.start()
    assert isinstance(ours.recv(), WorkerReady)
    return ours, serving


def test_an_answer_that_cannot_be_sent_is_a_failure_of_its_segment() -> None:
    pipe, serving = serve(lambda: Recognition([lambda: None]))  # type: ignore[list-item]
    send_job(pipe, SegmentJob(1, noise(1, 1), 0, 0))
    send_job(pipe, SegmentJob(2, noise(1, 1), 0, 0))
    failed, done = pipe.recv(), pipe.recv()
    assert isinstance(failed, Failed) and failed.id == 1 and failed.reason
    assert isinstance(done, Done) and done.id == 2
    pipe.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()


def test_a_worker_that_ends_in_a_process_that_lives_on_is_seen_to_end() -> None:
    """Its other thread waits for the next segment in the same pipe."""

    def leave() -> None:
        raise SystemExit  # as a library may

    pipe, serving = serve(leave)
    send_job(pipe, SegmentJob(1, noise(1, 1), 0, 0))
    assert pipe.poll(PATIENCE / 6)
    with pytest.raises(EOFError):
        pipe.recv()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    pipe.close()


@given(st.integers(0, 2_000), st.integers(1, 3))
def test_a_segment_arrives_as_it_was_sent_whatever_part_of_a_message_it_is(samples: int, step: int) -> None:
    audio = np.arange(3 * 2_000, dtype=np.float32)[7 : 7 + step * samples : step]
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        send_job(ours, SegmentJob(5, audio, 3, 2))
        send_job(ours, TextJob(6, "text"))
        first, second = receive_job(theirs), receive_job(theirs)
    assert isinstance(first, SegmentJob) and (first.id, first.start, first.shared) == (5, 3, 2)
    assert first.audio.dtype == np.float32 and first.audio.tobytes() == audio.tobytes()
    assert second == TextJob(6, "text")
