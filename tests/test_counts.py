"""A count agrees with its noun."""

import pytest

from capsexp.counts import apart, counted, once


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


def test_what_several_say_is_said_once() -> None:
    assert once(["no port", "killed", "no port", "no port"]) == "no port (3 runs); killed"
    assert (once([]), once(["x", "x"], "trial")) == ("", "x (2 trials)")


@pytest.mark.parametrize(
    ("value", "limit", "digits", "shown"),
    [
        (1.2, 1.5, 2, "1.20"), (1.4996, 1.5, 2, "1.4996"), (1.5, 1.5, 2, "1.50"), (99.97, 100.0, 1, "99.97"),
        (6144.2, 6144.0, 0, "6144.2"), (1.5 + 1e-9, 1.5, 2, "1.500000"),
    ],
)  # fmt: skip
def test_as_many_digits_as_tell_a_value_from_a_limit(value: float, limit: float, digits: int, shown: str) -> None:
    assert f"{value:.{apart(value, limit, digits)}f}" == shown
