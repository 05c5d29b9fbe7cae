"""A value and its interval come of one estimator, and speedups say what the makespans beside them say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import counted, cpu, figures, made_run, trials

seconds = st.floats(1.0, 100.0)
MAKESPANS = st.lists(st.one_of(st.none(), seconds), min_size=1, max_size=6)


def test_a_slow_trial_moves_the_value_with_its_interval() -> None:
    """workers=3 has the longer makespan, and the lower speedup: by medians of ratios it had the higher one."""
    one, two, three = counted(
        *trials(1, 18.9, 19.0, 21.4), *trials(2, 9.7, 12.5, 9.6), *trials(3, 11.3, 10.2, 10.9)
    )  # fmt: skip
    makespans = [c.value("makespan_s") or 0.0 for c in (one, two, three)]
    speeds = [c.value("speedup") or 0.0 for c in (two, three)]
    assert (makespans[1] < makespans[2]) == (speeds[0] > speeds[1])
    for c, makespan in ((two, makespans[1]), (three, makespans[2])):
        assert c.value("speedup") == pytest.approx(makespans[0] / makespan)


@given(st.lists(seconds, min_size=1, max_size=6), st.lists(MAKESPANS, min_size=1, max_size=3))
def test_speedups_and_makespans_are_in_one_order(base: list[float], others: list[list[float | None]]) -> None:
    """Whichever trials are missing: makespan x speedup is the baseline's, and so is 1 / throughput."""
    runs = trials(1, *base)
    for workers, each in enumerate(others, start=2):
        runs += [made_run(workers, s, trial=n) for n, s in enumerate(each, start=1) if s is not None]
    first, *rest = counted(*runs)
    for c in rest:
        speedup = c.value("speedup")
        if speedup is not None:
            assert (c.value("makespan_s") or 0.0) * speedup == pytest.approx(first.value("makespan_s"))
            reached = (c.value("throughput_rtfx") or 0.0) / speedup
            assert reached == pytest.approx(first.value("throughput_rtfx"))


@given(st.lists(seconds, min_size=3, max_size=6), st.lists(seconds, min_size=3, max_size=6))
def test_a_value_lies_in_the_middle_of_its_interval(base: list[float], other: list[float]) -> None:
    for c in counted(*trials(1, *base), *trials(2, *other)):
        for tag in ("makespan_s", "throughput_rtfx", "speedup", "efficiency", "memory_growth"):
            estimate = c.metric(tag)
            if estimate.ci95 is not None and estimate.value is not None:
                assert estimate.value**2 == pytest.approx(estimate.ci95[0] * estimate.ci95[1])


def test_a_trial_that_the_baseline_lacks_is_no_part_of_a_comparison() -> None:
    two = counted(*trials(1, 10.0, 10.0), *trials(2, 5.0, 5.0, 50.0))[1]
    assert (two.value("makespan_s"), two.value("speedup"), two.metric("makespan_s").n) == (5.0, 2.0, 2)
    # Without any that both have there is nothing to take the drift from.
    two = counted(made_run(1, 10.0, trial=1), made_run(2, 5.0, trial=2))[1]
    assert (two.value("makespan_s"), two.value("speedup")) == (5.0, None)


@pytest.mark.parametrize(("idle", "used"), [((0.0, 2.0), 1.0), ((2.0, 8.0), 4.0)])
def test_seconds_that_may_be_zero_have_a_mean(idle: Any, used: float) -> None:
    runs = [
        made_run(1, 10.0, trial=n, figures=figures(10.0, cpu=cpu(monitor_s=s))) for n, s in enumerate(idle, start=1)
    ]
    assert counted(*runs)[0].value("cpu_monitor_s") == pytest.approx(used)
