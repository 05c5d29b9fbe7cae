"""What workers waited for is said from the shares of the time, one sentence for each thing that it can be."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from capsexp.analysis import diagnosis
from capsexp.config import ValidityConfig
from capsexp.results.report import Timeline
from tests.support.runs import CPU, disappointing
from tests.support.values import figures, made_run, report, with_value

LIMITS = vars(ValidityConfig())


@pytest.mark.parametrize(
    ("waiting", "concurrency", "said"),
    [
        (None, 0, "no segment waited during 70 % of the time"),
        (0.1, 0, "no segment waited during 70 % of the time, and the client was sending for 90 %; try a larger "
                 "load.message_s"),
        (0.6, 0, "no segment waited during 70 % of the time, and the client had nothing left to send for 60 %; send "
                 "more requests (load.repeats)"),
        (0.6, 4, "no segment waited during 70 % of the time, and the client had nothing left to send for 60 %, because "
                 "load.concurrency=4 allows no more; try a larger one"),
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
                                "yet segments waited during 75 % of it"),
        ({}, "workers idle: they recognized during 90 %, 10 % of the time"),
    ],
)  # fmt: skip
def test_idle_workers_beside_segments_that_wait(timeline: dict[str, Any], said: str) -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, worker_busy=(0.9, 0.1))
    two = msgspec.structs.replace(two, timeline=Timeline(**timeline))
    assert diagnosis.causes(two, one, run, 4, LIMITS) == [said]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "no known cause"),
        ({"makespan_s": None, "completed": 3}, "only 3 of 40 requests"),
        ({"worker_busy": (0.9, 0.1)}, "workers idle: they recognized during 90 %, 10 %"),
        ({"worker_busy": ()}, "no known cause"),
        ({"swap_in_mb": 50.0}, "50 MB read back"),
        ({"major_faults": 9000.0}, "1000 major faults per second"),
        ({"client_max_loop_lag_s": 2.0}, "the client is the bottleneck"),
        ({"cpu": replace(CPU, gateway_s=8.9)}, "the gateway is the bottleneck: it used 99 %"),
        ({"dispatch": "task", "requests": 3, "worker_busy": (0.9, 0.1)}, "server.dispatch=task"),
        ({"threads": 4, "cpu": replace(CPU, utilisation=0.97)}, "8 threads on 4 CPUs, 97 % used"),
        ({"threads": 2, "cpu": replace(CPU, utilisation=None, system_percent=97.0)}, "4 threads on 4 CPUs, 97 % used"),
        ({"cpu": replace(CPU, utilisation=0.3, system_percent=97.0)}, "other programs saturated the CPUs: 97 % used, "),
        ({"compute_p50_s": 2.0}, "2.00 times as long as in workers=1"),
    ],
)
def test_why_it_disappoints(change: dict[str, Any], said: str) -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    one = with_value(one, compute_p50_s=1.0)
    two, run = disappointing(two, **change)
    assert any(said in sentence for sentence in diagnosis.causes(two, one, run, 4, LIMITS))


def test_a_process_that_recognizes_as_well_is_no_gateway_that_binds() -> None:
    """Such as sherpa-onnx: the recognizers' time is that of the process that receives."""
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, cpu=replace(CPU, gateway_s=15.9, workers_s=None))
    assert not any("gateway" in sentence for sentence in diagnosis.causes(two, one, run, 4, LIMITS))


def test_workers_idle_says_what_they_waited_for() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, worker_busy=(0.9, 0.1))
    two = msgspec.structs.replace(two, timeline=Timeline(queue_empty=0.6, client_waiting=0.7))
    said = next(s for s in diagnosis.causes(two, one, run, 4, LIMITS) if s.startswith("workers idle"))
    assert "no segment waited during 60 % of the time, and the client had nothing left to send for 70 %" in said
    assert "load.repeats" in said
    bounded = " ".join(diagnosis.causes(two, one, run, 4, LIMITS, concurrency=3))
    assert "load.concurrency=3" in bounded
    assert "load.repeats" not in bounded


@pytest.mark.parametrize("change", [{"threads": 64}, {"segments": 5}, {"dispatch": "task", "requests": 3}])
def test_counts_alone_are_no_cause(change: dict[str, Any]) -> None:
    """64 threads on 2 CPUs of which 7 % are used, or few segments for workers that are busy all the time."""
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, cpu=replace(CPU, utilisation=0.07, system_percent=7.0), **change)
    assert diagnosis.causes(two, one, run, 2, LIMITS) == [
        "no known cause shows in the data; look at segments.csv and monitor.csv of the run"
    ]


def test_what_does_well_needs_no_cause() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 5.0))
    assert diagnosis.causes(two, one, figures(5.0), 4, LIMITS) == []
