"""What a run's tables come to: makespan, memory, CPU, percentiles."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import figures as tables
from capsexp.analysis.combine import PERCENTILES
from capsexp.analysis.figures import Figures
from capsexp.results.run import ClientFacts, SegmentCounts
from tests.support.runs import request
from tests.support.values import a_run, counted, durations, figures, made_run


def segment(worker: int, compute: float, **more: Any) -> dict[str, Any]:
    return {"worker": worker, "compute_s": compute, "queue_wait_s": 0.1, "retries": 0, "status": "ok", **more}


def process(time: float, role: str, pid: int, cpu: float, mb: float | None, **more: Any) -> dict[str, Any]:
    return {
        "time_s": time, "role": role, "pid": pid, "rss_mb": mb and 2 * mb, "pss_mb": mb, "uss_mb": mb, "cpu_s": cpu,
        "major_faults": 0, "cpu_percent": None, "available_mb": None, "swap_in_mb": None, **more,
    }  # fmt: skip


def system(time: float, percent: float | None, free: float | None = 100.0, swap: float = 0.0) -> dict[str, Any]:
    nothing = {"pid": None, "rss_mb": None, "pss_mb": None, "uss_mb": None, "cpu_s": None, "major_faults": None}
    return {
        "time_s": time,
        "role": "system",
        **nothing,
        "cpu_percent": percent,
        "available_mb": free,
        "swap_in_mb": swap,
    }


MONITOR = [
    process(0, "gateway", 1, 1.0, 10), process(0, "worker", 2, 1.0, 500), system(0, None),
    process(1, "gateway", 1, 1.5, 10), process(1, "worker", 2, 2.0, 100),
    process(1, "monitor", 9, 0.5, 5), system(1, 50, 90),
    process(2, "gateway", 1, 2.0, 10), process(2, "worker", 2, 3.0, 100),
    process(2, "worker", 3, 1.0, 100), system(2, 70, 80),
    process(3, "gateway", 1, 2.5, 10), process(3, "worker", 2, 3.5, 50),
    process(3, "monitor", 9, 0.7, 5), system(3, 90),
]  # fmt: skip


CLIENT = ClientFacts(cpu_s=0.25, max_loop_lag_s=0.01)


RUN = a_run(workers=2, cpu_count=2)


def test_the_figures_of_a_run() -> None:
    segments = [segment(0, 1.0), segment(0, 0.5, retries=1), segment(1, 1.5), segment(1, 9.0, status="failed")]
    f = tables.figures(RUN, [request(0, 1.0, 2.0), request(1, 1.2, 3.0)], segments, MONITOR, CLIENT)
    assert (f.makespan_s, f.audio_s, f.throughput_rtfx) == (2.0, 20.0, 10.0)
    assert (f.segments, f.retries, f.worker_busy) == (3, 1, (0.75, 0.75))
    assert f.memory == tables.Memory("pss", peak_mb=510, load_peak_mb=510, steady_peak_mb=210, rss_peak_mb=1020)
    assert f.cpu.gateway_s == pytest.approx(1.0)
    assert f.cpu.workers_s == pytest.approx(1.5 + 1.0)  # the second was born in the window
    assert f.cpu.server_s == pytest.approx(3.5)
    assert f.cpu.monitor_s == pytest.approx(0.2)
    assert f.cpu.client_s == 0.25
    assert f.cpu.utilisation == pytest.approx(3.5 / 4)
    assert f.cpu.system_percent == pytest.approx(70)
    assert f.durations.turnaround_s == pytest.approx((1.0, 1.8))
    assert f.durations.latency_s == pytest.approx((0.5, 1.3))
    assert (f.min_available_mb, f.swap_in_mb, f.major_faults) == (80, 0, 0)


def test_one_request_that_failed_leaves_no_makespan() -> None:
    f = tables.figures(RUN, [request(0, 1.0, 2.0), request(1, 1.2, None)], [], MONITOR, None)
    assert (f.makespan_s, f.throughput_rtfx, f.completed, f.requests) == (None, None, 1, 2)
    assert f.cpu.utilisation is None
    assert f.cpu.client_s is None
    assert f.worker_busy == ()


def test_a_run_of_which_nothing_is_known() -> None:
    assert tables.figures(RUN, [], [], [], None) == Figures()


def test_memory_of_a_window_shorter_than_a_tick() -> None:
    assert tables.memory(MONITOR, (1.1, 1.2)).steady_peak_mb == 210  # the tick after it
    assert tables.memory(MONITOR, (8.0, 9.0)).steady_peak_mb is None
    assert tables.memory(MONITOR, None).steady_peak_mb is None
    uss = [{**row, "pss_mb": None} for row in MONITOR]
    assert tables.memory(uss, (1, 3)).metric == "uss"


def test_a_counter_is_read_from_before_to_after_the_window() -> None:
    rows = [process(t, "worker", 2, float(t), 1) for t in range(5)]
    assert tables.difference(rows, "cpu_s", (1.5, 2.5)) == 2.0
    assert tables.difference(rows, "cpu_s", (1.0, 9.0)) == 3.0
    assert tables.difference([{**rows[0], "cpu_s": None}], "cpu_s", (0.0, 1.0)) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_percentiles_are_between_and_in_order(some: list[float]) -> None:
    values = 700 * some  # as many as the rarest percentile needs
    (only,) = counted(made_run(1, 10.0, figures=figures(10.0, durations=durations(latency_s=values))))
    known = [only.value(f"latency_{name}_s") or 0.0 for name in (*PERCENTILES, "max")]
    assert known == sorted(known)
    assert min(values) <= known[0] and known[-1] == max(values)


@pytest.mark.parametrize(
    ("count", "known"), [(63, ["p50"]), (64, ["p50", "p90"]), (130, ["p50", "p90", "p95"]), (662, 4)]
)
def test_a_percentile_needs_enough_requests(count: int, known: Any) -> None:
    (only,) = counted(made_run(1, 10.0, figures=figures(10.0, durations=durations(latency_s=[1.0] * count))))
    said = [name for name in PERCENTILES if only.value(f"latency_{name}_s") is not None]
    assert said == known or len(said) == known


@given(
    st.floats(0.05, 1.0), st.floats(0.0, 3.0), st.floats(0.001, 5.0),
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=2),
)  # fmt: skip
def test_no_share_of_cpu_time_exceeds_what_was_there(
    interval: float, start: float, length: float, busy: list[tuple[int, float]]
) -> None:
    """Two CPUs, a process on each from some tick on: whatever the window, they used no more than two."""
    rows = [
        process(tick * interval, "worker", pid, rate * (tick - born) * interval, 100)
        for tick in range(40)
        for pid, (born, rate) in enumerate(busy)
        if tick >= born
    ]
    rows += [system(tick * interval, 50.0) for tick in range(40)]
    requests = [request(0, start, start + length)]
    cpu = tables.figures(RUN, requests, [], rows, CLIENT).cpu
    inside = [t for t in range(40) if start <= t * interval <= start + length]
    if len(inside) < 3:
        assert (cpu.utilisation, cpu.workers_s, cpu.system_percent) == (None, None, None)
    elif cpu.utilisation is not None:
        assert 0 <= cpu.utilisation <= 1 + 1e-9
        assert cpu.workers_s <= 2 * length * (1 + 1e-9)
    assert cpu.client_s == 0.25  # it counts its own


def test_a_process_whose_cpu_time_is_not_told_counts_for_nothing() -> None:
    """As of a process that ended between being seen and being asked."""
    told = [process(t, "worker", 1, 0.5 * t, 1) for t in range(4)]
    untold = [{**process(t, "worker", 2, 0.0, 1), "cpu_s": None} for t in range(4)]
    gap = [row if row["time_s"] != 2 else {**row, "cpu_s": None} for row in told]
    assert tables.cpu_seconds(told + untold, range(4), (1.0, 3.0)) == 1.0
    assert tables.cpu_seconds(gap, range(4), (1.0, 3.0)) == 1.0
    assert tables.cpu_seconds(untold, range(4), (1.0, 3.0)) == 0.0


def test_of_a_table_that_was_thinned_out_the_client_tells_when_the_load_began_and_ended() -> None:
    """The first and the last request are not among the rows that were kept."""
    kept = [request(5, 3.0, 4.0, count=9)]
    client = msgspec.structs.replace(CLIENT, thinned=True, start_s=1.0, end_s=6.0)
    f = tables.figures(RUN, kept, [], [], client, SegmentCounts(ok=30, retries=2, every=4))
    assert (f.makespan_s, f.requests, f.audio_s, f.throughput_rtfx) == (5.0, 9, 90.0, 18.0)
    assert (f.segments, f.retries, f.segments_every, f.thinned) == (30, 2, 4, True)


@pytest.mark.parametrize(("address", "known"), [("local", True), ("10.0.0.1:6379", False)])
def test_memory_of_a_gateway_whose_workers_are_elsewhere_is_not_that_of_the_server(address: str, known: bool) -> None:
    pool = {"name": "ray", "address": address}
    run = msgspec.structs.replace(RUN, config={**RUN.config, "pool": pool})
    f = tables.figures(run, [request(0, 1.0, 2.0), request(1, 1.2, 3.0)], [segment(0, 1.0)], MONITOR, CLIENT)
    assert (f.memory.peak_mb is not None, f.cpu.server_s is not None) == (known, known)
    assert f.cpu.system_percent is not None
