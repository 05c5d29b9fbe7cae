"""What workers waited for is said from the shares of the time, one sentence for each thing that it can be."""

from typing import Any

import msgspec
import pytest

from capsexp.analysis import diagnosis
from capsexp.results.report import Timeline
from tests.support.runs import disappointing
from tests.support.values import made_run, report


@pytest.mark.parametrize(
    ("waiting", "concurrency", "said"),
    [
        (None, 0, "no segment waited during 70 % of the time"),
        (0.1, 0, "no segment waited during 70 % of the time, and for 90 % the client was sending; a larger "
                 "load.message_s helps"),
        (0.6, 0, "no segment waited during 70 % of the time, and for 60 % the client had nothing left to send; more "
                 "requests (load.repeats) would fill the queue"),
        (0.6, 4, "no segment waited during 70 % of the time, and for 60 % the client had nothing left to send, as "
                 "load.concurrency=4 lets no more begin; a larger one would fill the queue"),
    ],
)  # fmt: skip
def test_why_no_segment_came(waiting: float | None, concurrency: int, said: str) -> None:
    used = diagnosis.Use(2, 1, 4, 0.3, 0.1, 0.1, 0.5, queue_empty=0.7, waiting=waiting, concurrency=concurrency)
    assert diagnosis.requests(used) == said


@pytest.mark.parametrize(("busy", "queue_empty"), [(0.9, 0.7), (0.5, 0.5), (0.5, None)])
def test_who_had_segments_or_no_time_was_not_short_of_them(busy: float, queue_empty: float | None) -> None:
    assert diagnosis.requests(diagnosis.Use(2, 1, 4, 0.3, 0.1, 0.1, busy, queue_empty, 0.6)) is None


@pytest.mark.parametrize(
    ("timeline", "said"),
    [
        ({"queue_empty": 0.25}, "workers idle: they recognized during 90 %, 10 % of the time; "
                                "segments waited during 75 % of it all the same"),
        ({}, "workers idle: they recognized during 90 %, 10 % of the time"),
    ],
)  # fmt: skip
def test_idle_workers_beside_segments_that_wait(timeline: dict[str, Any], said: str) -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, worker_busy=(0.9, 0.1))
    two = msgspec.structs.replace(two, timeline=Timeline(**timeline))
    assert diagnosis.causes(two, one, run, 4) == [said]
