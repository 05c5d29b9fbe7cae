"""Messages of many tasks in any interleaving, and what their segments came to in any order: each task gets its results
in order, and the last is the whole text."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from capsexp.engines.null import NullConfig, NullEngine
from capsexp.errors import ServerError
from capsexp.protocol import RATE, AudioMessage, ProtocolError, Result
from capsexp.segments import Cut, Merger, Segment, cut_all
from capsexp.server.core import session as module
from capsexp.server.core.session import Limits, Session
from capsexp.server.core.task import Came, NaiveTask, Task
from tests.support import noise

ENGINE = NullEngine(NullConfig())
DURATION, OVERLAP = 0.5, 0.125


def message(name: str, audio: np.ndarray, final: bool = False) -> AudioMessage:
    return AudioMessage(name, audio.astype(np.float32), final, seg_duration=DURATION, seg_overlap=OVERLAP)


def came(segment: Segment, worker: int = 0) -> Came:
    heard = ENGINE.recognize(segment.audio, segment.start, segment.shared)
    return Came(segment.without_audio(), 1.0, heard, worker)


def whole(audio: np.ndarray) -> tuple[str, str]:
    cut = Cut.of(DURATION, OVERLAP)
    merger = Merger(cut)
    for segment in cut_all(audio.astype(np.float32), cut):
        merger.add(segment.start, segment.last, ENGINE.recognize(segment.audio, segment.start, segment.shared))
    return merger.text, merger.text_accu


class AnyInterleaving(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.session = Session(Limits(tasks=3, audio_s=5.0), Task)
        self.audio: dict[Task, np.ndarray] = {}
        self.at_work: list[tuple[Task, Segment]] = []
        self.results: dict[Task, list[Result]] = {}
        self.count = 0

    @rule(number=st.integers(0, 4), seconds=st.sampled_from([0.0, 0.1, 0.7, 1.3]), final=st.booleans())
    def a_message(self, number: int, seconds: float, final: bool) -> None:
        self.count += 1
        piece = message(f"task-{number}", noise(seconds, self.count), final)
        try:
            task = self.session.take(piece)
        except ProtocolError:
            return
        if not task.failed:
            if self.session.excess(task, piece):
                task.fail()
            else:
                self.audio[task] = np.concatenate([self.audio.get(task, noise(0, 1)), piece.audio])
                self.at_work += [(task, segment) for segment in task.feed(piece)]
        self.session.taken(task, piece)

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def a_segment_is_done(self, data: st.DataObject) -> None:
        task, segment = self.at_work.pop(data.draw(st.integers(0, len(self.at_work) - 1)))
        task.came(came(segment))
        while (due := task.take()) is not None:
            result = task.result(due[0], due[1].whole(), 2.0)
            self.results.setdefault(task, []).append(result)
        if task.complete:
            task.done = True
            self.session.forget(task)

    @invariant()
    def results_are_in_order_and_the_last_is_whole(self) -> None:
        for task, results in self.results.items():
            durations = [result.duration for result in results]
            assert durations == sorted(durations)
            assert [r.is_final for r in results[:-1]] == [False] * (len(results) - 1)
            if results[-1].is_final:
                assert (results[-1].text, results[-1].text_accu) == whole(self.audio[task])
                assert results[-1].duration == pytest.approx(len(self.audio[task]) / RATE)

    @invariant()
    def nothing_is_kept_of_what_is_finished(self) -> None:
        assert all(not (task.done and task.received_all) for task in self.session.tasks.values())
        assert sum(not task.received_all for task in self.session.tasks.values()) <= 3

    def teardown(self) -> None:
        for task, segment in self.at_work:
            task.came(came(segment))
            while task.take() is not None:
                pass
        finished = {task for task, _ in self.at_work if task.received_all}
        assert all(task.complete for task in finished)


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.permutations(range(4)), st.integers(0, 3))
def test_what_failed_is_told_in_its_turn_and_ends_the_task(order: list[int], bad: int) -> None:
    """Results before it are delivered first, whatever came when."""
    task = Task(message("t", noise(0, 1)))
    segments = list(task.feed(message("t", noise(2.1, 1), True)))
    assert len(segments) == 4
    told: list[int] = []
    for at in order:
        one = segments[at]
        task.came(Came(one, 1.0, ServerError("boom")) if at == bad else came(one))
        try:
            while (due := task.take()) is not None:
                told.append(due[0].segment.index)
        except ServerError:
            task.fail()
            break
    assert told == list(range(bad))
    assert task.complete
    task.came(came(segments[-1]))
    assert task.take() is None
    assert task.held == 0


def test_the_negative_control_answers_as_things_come_and_loses_text() -> None:
    task = NaiveTask(message("t", noise(0, 1)))
    audio = noise(2.1, 1)
    segments = list(task.feed(message("t", audio, True)))
    texts = []
    for worker, segment in enumerate(reversed(segments)):
        assert not task.complete
        task.came(came(segment, worker % 2))
        due = task.take()
        assert due is not None
        texts.append(due[1].text)
    assert task.complete
    assert whole(audio)[0] not in texts


def test_what_a_session_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Limits(tasks=2, audio_s=3.0), Task)
    first = session.take(message("a", noise(0, 1)))
    with pytest.raises(ProtocolError, match="the server is full"):
        session.take(message("b", noise(0, 1)), "the server is full")
    session.take(message("b", noise(0, 1)))
    with pytest.raises(ProtocolError, match=r"server\.max_tasks"):
        session.take(message("c", noise(0, 1)))
    assert "server.max_audio_s = 3 s" in session.excess(first, message("a", noise(3.1, 1)))
    assert session.excess(first, message("a", noise(1, 1)), "full") == "full"
    assert session.excess(first, message("a", noise(1, 1))) == ""
    list(first.feed(message("a", noise(0.2, 1))))
    assert session.bytes_of(first) == module.TASK + module.SAMPLE * 3200
    monkeypatch.setattr(module, "MAX_HELD_S", 0.5)
    assert "wait for the rest of their segments" in session.excess(first, message("a", noise(0.4, 1)))
    final = message("a", noise(0, 1), True)
    first.fail()
    session.taken(first, final)
    assert session.bytes_of(first) == 0
    with pytest.raises(ProtocolError, match="task_id of its own"):
        session.take(message("a", noise(0, 1)))
