"""Intervals, slopes and the number of trials, on values; the coverage of each is in benchmarks/coverage.py."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import leak, statistics
from capsexp.results.report import Slope

positive = st.lists(st.floats(0.01, 1e4), min_size=3, max_size=12)


@given(positive, st.floats(0.01, 100))
def test_an_interval_holds_its_mean_and_scales(values: list[float], factor: float) -> None:
    low, high = statistics.interval(values) or (0.0, 0.0)
    mean = math.exp(sum(math.log(v) for v in values) / len(values))
    assert low <= mean * (1 + 1e-9) and mean <= high * (1 + 1e-9)
    scaled = statistics.interval([factor * v for v in values])
    assert scaled == pytest.approx((factor * low, factor * high), rel=1e-6)


@given(positive, positive)
def test_swapping_two_groups_turns_their_ratio_over(one: list[float], other: list[float]) -> None:
    low, high = statistics.unpaired(one, other) or (0.0, 0.0)
    assert statistics.unpaired(other, one) == pytest.approx((1 / high, 1 / low), rel=1e-6)


@given(st.floats(1, 200), st.floats(1, 200))
def test_more_degrees_of_freedom_never_widen_an_interval(one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert statistics.two_sided(few) >= statistics.two_sided(many) - 1e-4
    assert statistics.two_sided(many) > 1.95


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(20, 60)), min_size=5, max_size=40))
def test_the_interval_of_an_error_rate_holds_it_and_stays_above_zero(counts: list[tuple[int, int]]) -> None:
    low, high = statistics.rate(counts) or (0.0, 0.0)
    found = sum(e for e, _ in counts) / sum(n for _, n in counts)
    assert 0 <= low <= found + 1e-9
    assert found <= high + 1e-9


def test_too_little_to_say() -> None:
    assert statistics.rate([(1, 10)] * 4) is None
    assert statistics.unpaired([1.0, 2.0], [1.0, 2.0, 3.0]) is None
    assert statistics.interval_of_mean([1.0]) is None
    assert statistics.width(None) is None
    assert statistics.trials_to_settle([-1.0, 1.0], 0.5) is None
    assert statistics.unpaired([2.0] * 3, [1.0] * 3) == pytest.approx((2.0, 2.0))
    assert statistics.rate([(30, 10)] * 5) == pytest.approx((3.0, 3.0))


def test_a_planted_leak_is_found_after_the_beginning() -> None:
    draw = random.Random(1)
    points = [(30.0 * n, 400 + 100 * min(1, n / 40) + 0.1 * n + draw.gauss(0, 1)) for n in range(480)]
    rows = [{"time_s": t, "role": "worker", "pss_mb": mb} for t, mb in points]
    found = leak.watch(rows, "pss", (0.0, 1e9), 1800.0)
    assert found.ci95 and found.ci95[0] <= 12 <= found.ci95[1]
    assert found.roles["worker"] == Slope(mb_per_h=found.mb_per_h, ci95=found.ci95)
    assert leak.watch(rows, "pss", (0.0, 600.0), 1800.0).mb_per_h is None
    assert leak.watch(rows, None, (0.0, 600.0), 1800.0).steady_s is None
    assert leak.steady(points)[0][0] >= 30.0 * 35


def test_a_run_too_short_to_watch() -> None:
    rows = [{"time_s": float(t), "role": "worker", "pss_mb": 100.0} for t in range(4)]
    few = leak.watch(rows, "pss", (0.0, 10.0), 1.0)
    assert (few.mb_per_h, few.ci95, few.steady_s) == (None, None, 3.0)
    assert leak.watch([{**rows[0], "role": "client"}], "pss", (0.0, 10.0), 1.0).steady_s is None
    assert leak.watch(rows, "pss", None, 1.0).steady_s is None


@pytest.mark.parametrize(
    ("degrees", "value"), [(1, 12.7062), (2, 4.3027), (10, 2.2281), (11, 2.2010), (30, 2.0423), (1000, 1.9623)]
)
def test_quantiles_of_student(degrees: int, value: float) -> None:
    assert statistics.two_sided(degrees) == pytest.approx(value, abs=2e-4)


def test_intervals_need_two_positive_values() -> None:
    assert statistics.interval([1.0]) is None
    low, high = statistics.interval([1.0, math.e]) or (0, 0)  # t of 1 degree of freedom is 12.706
    assert (low * high, math.log(high)) == (pytest.approx(math.e), pytest.approx(0.5 + 12.7062 / 2, abs=1e-3))
    assert statistics.interval([1.0, 0.0, 2.0]) is None
    assert statistics.ratios({1: 4.0, 2: 6.0}, {2: 3.0, 3: 1.0}) == [2.0]


def test_how_many_trials_would_settle_it() -> None:
    assert statistics.trials_to_settle([1.4, 1.6, 1.55], 1.5) is None
    needed = statistics.trials_to_settle([1.5, 1.7, 1.6], 1.5)
    assert needed
    assert needed > 3


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_cover_what_they_promise(count: int) -> None:
    """1000 simulated comparisons of known ratio 1.5: 95 % of the intervals hold it, within 2 points (3 sigma)."""
    import random

    draw = random.Random(count)
    held = 0
    for _ in range(1000):
        ratios = [1.5 * draw.lognormvariate(0, 0.05) for _ in range(count)]
        low, high = statistics.interval(ratios) or (0.0, 0.0)
        held += low <= 1.5 <= high
    assert 0.93 <= held / 1000 <= 0.97
