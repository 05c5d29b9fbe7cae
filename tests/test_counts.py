"""A count agrees with its noun."""

import pytest

from capsexp.counts import counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "worker", "1 worker"),
        (0, "sample", "0 samples"),
        (2, "process", "2 processes"),
        (3, "more table", "3 more tables"),
        (1.5, "CPU", "1.5 CPUs"),
    ],
)
def test_counts(number: float, noun: str, said: str) -> None:
    assert counted(number, noun) == said


def test_a_whole_number_has_no_fraction() -> None:
    assert (counted(2.0, "CPU"), counted(1.5, "CPU"), counted(2_000_000, "request")) == (
        "2 CPUs", "1.5 CPUs", "2000000 requests",
    )  # fmt: skip
