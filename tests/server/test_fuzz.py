"""Anything may arrive: it is understood or refused, and what is well-formed among it comes out right."""

import asyncio
import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsexp.protocol import (
    MAX_SEGMENT_SECONDS,
    RATE,
    AudioMessage,
    ProtocolError,
    Result,
    decode_audio,
    decode_result,
    encode_audio,
    encode_result,
)
from capsexp.segments import Cut, Cutter, Merger, Recognition, cut_all
from capsexp.server.core import session
from capsexp.server.core.session import Limits
from capsexp.server.gateway import Gateway
from capsexp.server.pools.base import Recognized
from tests.support.fakes import FakeConnection, FakePool, message
from tests.support.servers import server
from tests.support.storm import KEYS, NASTY, malformed, script, storm

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def understood(frame: str | bytes) -> None:
    try:
        message = decode_audio(frame)
    except ProtocolError:
        return
    assert 0.1 <= message.seg_duration <= MAX_SEGMENT_SECONDS
    assert 0 <= message.seg_overlap <= message.seg_duration
    assert math.isfinite(message.time_start)
    assert np.isfinite(message.audio).all()
    assert message.audio.dtype == np.float32
    message.task_id.encode()
    assert all(len(s.audio) <= 3 * MAX_SEGMENT_SECONDS * RATE for s in cut_all(message.audio, cut_of(message)))


def cut_of(message: AudioMessage) -> Cut:
    return Cut.of(message.seg_duration, message.seg_overlap)


@given(st.dictionaries(st.sampled_from(KEYS), anything))
def test_any_value_of_any_key(fields: dict[str, Any]) -> None:
    understood(json.dumps({"task_id": "a", "data": "AACAPwAAgD8=", **fields}))


@given(st.text() | st.binary() | anything.map(json.dumps))
def test_any_frame(frame: str | bytes) -> None:
    understood(frame)
    try:
        decode_result(frame)
    except ProtocolError:
        pass


@given(st.integers(0, 2**32))
def test_any_frame_of_the_storm(seed: int) -> None:
    understood(malformed(random.Random(seed), ["task-1"])[1])


numbers = st.floats() | st.floats(-1, 20)
words = st.sampled_from(["a", "b", "", "好", " ", "very"])
heard = st.builds(
    lambda pairs, timed, tags: Recognition([w for w, _ in pairs], [t for _, t in pairs] if timed else [], tags),
    st.lists(st.tuples(words, numbers), max_size=8),
    st.booleans(),
    st.lists(st.just("happy"), max_size=1),
)


@example(1.0, 0.5, [Recognition(["a", "b", "c"], [-math.inf, math.nan, math.inf])])  # found by atheris
@given(st.floats(0.1, 20), st.floats(0, 1), st.lists(heard, min_size=1, max_size=6))
def test_merging_whatever_was_heard(duration: float, share: float, pieces: list[Recognition]) -> None:
    cut = Cut.of(duration, duration * share)
    merger = Merger(cut)
    for number, piece in enumerate(pieces):
        merger.add(number * cut.duration, number == len(pieces) - 1, piece)
    assert len(merger.tokens) == len(merger.times)
    assert all(math.isfinite(t) for t in merger.times)
    said = {token for piece in pieces for token in piece.tokens}
    assert set(merger.words) <= said
    result = Result("a", True, 1, 1, 1, 1, merger.text, merger.text_accu, merger.tokens, merger.times, merger.tags)
    assert decode_result(encode_result(result)) == result


def serve(*connections: FakeConnection, limits: Limits | None = None, seed: int = 0) -> list[Any]:
    """What came of the segments; asserts that nothing of any task is left."""
    left: list[Any] = []

    async def run() -> None:
        pool: Any = FakePool(random.Random(seed))
        one = Gateway(pool, "task", 3, lambda *segment: left.append(segment), limits=limits)
        await asyncio.gather(*(one.handle(connection) for connection in connections))
        await asyncio.sleep(0.01)
        assert pool.scheduler.places_taken == pool.scheduler.flows == 0
        assert not pool.scheduler.unfinished()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    return left


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_two_connections_with_the_same_ids_in_a_storm(seed: int) -> None:
    tasks, connections = [], []
    for number in range(2):
        frames = list(script(random.Random(seed + number), 60, 0))
        tasks.append([task for _, task in frames if task])
        connections.append(FakeConnection([frame for frame, _ in frames]))
    serve(*connections, seed=seed)
    for expected, connection in zip(tasks, connections, strict=True):
        finals = {a["task_id"]: a for a in connection.answers if a.get("is_final")}
        for task in expected:
            answer = finals[task.id]
            assert (answer["text"], answer["text_accu"], answer["duration"]) == (
                task.text, task.text_accu, task.duration_s,
            )  # fmt: skip


def test_a_task_that_is_too_long_ends_and_the_others_go_on() -> None:
    frames = [message("long", 3), message("other", 1), *[message("long", 3)] * 3, message("long", 0, True)]
    frames += [message("other", 1, True), message("long", 1, True)]
    connection = FakeConnection([*frames])
    serve(connection, limits=Limits(audio_s=5))
    errors = [a for a in connection.answers if "error" in a]
    assert [e["task_id"] for e in errors] == ["long", "long"]
    assert "server.max_audio_s = 5 s" in errors[0]["error"]
    assert "task_id of its own" in errors[1]["error"]  # an id is good for one task of a connection
    finals = [(a["task_id"], a["duration"]) for a in connection.answers if a.get("is_final")]
    assert finals == [("other", 2.0)]


def test_too_many_tasks_at_once() -> None:
    frames = [message(str(n), 0) for n in range(4)] + [message(str(n), 0, True) for n in range(4)]
    connection = FakeConnection([*frames])
    serve(connection, limits=Limits(tasks=3))
    errors = [a for a in connection.answers if "error" in a]
    assert [e["task_id"] for e in errors] == ["3"]
    assert "server.max_tasks" in errors[0]["error"]
    assert len([a for a in connection.answers if a.get("is_final")]) == 4  # there is room again by then


def test_audio_that_waits_for_its_segment_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_HELD_S", 50.0)
    frames = [message(str(n), 20, duration=60, overlap=0) for n in range(4)]
    frames += [message("0", 0, True, duration=60, overlap=0), message("4", 20, duration=60, overlap=0)]
    connection = FakeConnection([*frames])
    serve(connection)
    errors = [a["task_id"] for a in connection.answers if "error" in a]
    assert errors == ["2", "3"]


def test_a_task_in_crumbs_of_one_sample() -> None:
    cutter = Cutter(Cut.of(0.1, 0.05))
    got = [s for n in range(10_000) for s in cutter.feed(np.full(1, n, np.float32), n == 9_999)]
    assert [s.audio.tolist() for s in got] == [
        s.audio.tolist() for s in cut_all(np.arange(10_000, dtype=np.float32), cutter.cut)
    ]


def test_an_engine_that_answers_nonsense_is_an_error_for_its_task_alone() -> None:
    class Mad(FakePool):
        def submit(self, work: Any, *more: Any) -> "asyncio.Future[Recognized]":
            future = super().submit(work, *more)
            if work.audio.any():
                future.cancel()
                future = asyncio.get_running_loop().create_future()
                future.set_result(Recognized(Recognition(["a"], ["secret"]), 0, 1, 0.0, 0.0, 0.0, 0))  # type: ignore[list-item]
            return future

    noise = encode_audio(AudioMessage("mad", np.ones(100, np.float32), True))
    connection = FakeConnection([noise, message("good", 1, True)])

    async def run() -> None:
        pool: Any = Mad(random.Random(0))
        await Gateway(pool, "segment", 3, lambda *segment: None).handle(connection)

    asyncio.run(run())
    mad, good = sorted(connection.answers, key=lambda a: "error" not in a)
    assert (mad["task_id"], mad["error"]) == ("mad", "internal error (TypeError)")
    assert (good["task_id"], good["is_final"]) == ("good", True)


@pytest.mark.slow
def test_a_storm_over_a_real_server() -> None:
    with server("workers=2", "server.max_message=1000000", "server.max_audio_s=60") as (url, process):
        tally = asyncio.run(storm(url, 7, 4000, 4, 500, 1_000_000))
        assert process.poll() is None
    assert not tally.wrong
    assert tally.right == tally.tasks > 100
    assert tally.errors >= tally.malformed > 1000
    assert tally.oversized == 5
