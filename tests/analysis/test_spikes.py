"""Memory that comes and goes between two ticks of the monitor, on values: what a report says of it."""

from __future__ import annotations

from typing import Any

import pytest

from capsexp.analysis.figures import LEAST_SPIKE_MB, memory


def row(time: float, pid: int, rss: float, peak: float | None, pss: float | None = None) -> dict[str, Any]:
    return {
        "time_s": time, "role": "worker", "pid": pid, "rss_mb": rss, "pss_mb": rss - 10 if pss is None else pss,
        "uss_mb": None, "peak_rss_mb": peak,
    }  # fmt: skip


def test_what_a_process_had_between_two_ticks_is_of_the_peak() -> None:
    rows = [row(0, 1, 100, 100), row(1, 1, 100, 600), row(2, 1, 100, 600)]
    said = memory(rows, (0.5, 3.0))
    assert said.steady_peak_mb == said.peak_mb == 590  # PSS of 90, and 500 beyond what both ticks saw
    assert said.rss_peak_mb == 600
    assert said.load_peak_mb == 90  # it was at the first tick, before the load
    assert memory(rows, (1.5, 3.0)).load_peak_mb == 590  # between the first tick and the second


def test_growth_that_a_tick_sees_is_no_spike() -> None:
    assert memory([row(0, 1, 100, 100), row(1, 1, 600, 600)], None).peak_mb == 590
    assert memory([row(0, 1, 600, 100), row(1, 1, 100, 610)], None).peak_mb == 590  # the 10 beyond are of the second


def test_spikes_of_several_processes_are_not_added_up() -> None:
    """Nobody knows that they were at one time."""
    rows = [row(0, pid, 100, 100) for pid in (1, 2)] + [row(1, 1, 100, 300), row(1, 2, 100, 250)]
    assert memory(rows, None).peak_mb == 2 * 90 + 200


def test_a_process_first_seen_has_its_spike_since_the_tick_before() -> None:
    assert memory([row(0, 1, 100, 100), row(1, 1, 100, 100), row(1, 2, 50, 150)], None).peak_mb == 90 + 40 + 100


@pytest.mark.parametrize("peak", [None, 0.0, 100.0, 100.0 + LEAST_SPIKE_MB - 0.5])
def test_without_a_peak_or_with_what_the_kernel_s_counters_are_off_nothing_is_added(peak: float | None) -> None:
    assert memory([row(0, 1, 100, peak), row(1, 1, 100, peak)], None).peak_mb == 90


def test_a_process_that_is_ending_has_none() -> None:
    assert memory([row(0, 1, 100, 100), row(1, 1, 0.0, 900, 0.0)], None).peak_mb == 90


def test_tables_of_before_there_was_the_column_say_what_they_said() -> None:
    rows = [row(0, 1, 100, None), row(1, 1, 200, None)]
    for one in rows:
        del one["peak_rss_mb"]
    assert memory(rows, None).peak_mb == 190
