"""Numbers over time in one line of text."""

from hypothesis import given
from hypothesis import strategies as st

from capsexp.monitor.sparkline import BARS, sparkline


@given(st.lists(st.floats(0, 1e6), max_size=300), st.integers(1, 60))
def test_a_sparkline_keeps_its_peak_and_its_width(values: list[float], width: int) -> None:
    bars = sparkline(values, width)
    assert len(bars) == min(width, len(values))
    if values and max(values) > 0:
        assert BARS[-1] in bars
    assert set(bars) <= set(BARS)


def test_each_column_is_the_largest_of_its_share() -> None:
    assert sparkline([0, 8, 0, 0, 4, 4, 8, 8], 4) == "█▁▅█"
    assert sparkline([1.0, 2.0], 10, top=4.0) == "▃▅"
    assert sparkline([], 10) == sparkline([1.0], 0) == ""
