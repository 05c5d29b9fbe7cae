"""How long a sweep still takes, from values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.live.eta import AFTER_S, BESIDE_S, BETWEEN_S, Ahead, AtWork, Ended, left, spoken


def test_a_configuration_that_was_run_takes_as_long_again() -> None:
    ended = [Ended("workers=1", 30, 24), Ended("workers=1", 32, 26), Ended("workers=2", 18, 12)]
    assert left(ended, None, [Ahead("workers=1", gap_s=1), Ahead("workers=2", gap_s=1)]).sweep_s == 31 + 18 + 2


def test_one_that_was_not_is_foretold_by_what_others_took_of_theirs() -> None:
    # It took twice as long as expected, and 6 s beside it.
    ended = [Ended("workers=1", 46, 40)]
    ahead = [Ahead("workers=1", 20, 0), Ahead("workers=2", 10, 0)]
    assert left(ended, None, ahead).sweep_s == 46 + (6 + 2 * 10)


def test_before_any_has_ended_the_reference_tells() -> None:
    ahead = [Ahead("workers=1", 20), Ahead("workers=2", 10)]
    assert left([], None, ahead).sweep_s == 30 + 2 * (BESIDE_S + BETWEEN_S)


def test_a_machine_that_took_long_to_begin_a_load_will_take_long_to_begin_the_next() -> None:
    now = AtWork(Ahead("workers=1", 20), elapsed_s=32, load_s=10, share=0.5)
    assert left([], now, [Ahead("workers=2", 10, 0)]).sweep_s == (10 + AFTER_S) + (22 + AFTER_S + 10)


def test_without_a_reference_the_others_tell_and_before_them_nothing() -> None:
    assert left([Ended("a", 10, 8), Ended("b", 30, 28)], None, [Ahead("c", gap_s=0)]).sweep_s == 20
    assert left([], None, [Ahead("c")]).sweep_s is None
    assert left([], AtWork(Ahead("c"), 5.0), [Ahead("c", 1.0)]).now_s is None


def test_one_that_failed_at_once_says_nothing_of_those_that_will_not() -> None:
    ended = [Ended("workers=1", 1.0, None), Ended("workers=1", 30, 24)]
    assert left(ended, None, [Ahead("workers=1", gap_s=0), Ahead("workers=2", gap_s=0)]).sweep_s == 60


def test_the_run_at_work_is_foretold_by_how_far_it_is() -> None:
    # Half of its load took 30 s, so that 30 s are left, where 10 were foretold.
    now = AtWork(Ahead("a"), elapsed_s=34, load_s=30, share=0.5)
    assert left([Ended("a", 44, 40)], now, []).now_s == pytest.approx(0.5 * 10 + 0.5 * 30 + AFTER_S)
    assert left([], now, []).now_s == pytest.approx(30 + AFTER_S)
    assert left([Ended("a", 44, 40)], AtWork(Ahead("a"), 5, 1, 0.0), []).now_s == 39 + AFTER_S
    assert left([Ended("a", 44, 40)], AtWork(Ahead("a"), 3), []).now_s == 41


def test_the_end_of_a_load_is_soon_the_end_of_its_run() -> None:
    now = AtWork(Ahead("a"), elapsed_s=41, load_s=40, share=1.0, over=True)
    assert left([Ended("a", 100, 96)], now, []).now_s == AFTER_S


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 1e3), st.floats(0, 1)), max_size=5),
    st.floats(0, 1e3),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_nothing_is_ever_left_less_than_nothing(
    past: list[tuple[str, float, float]], elapsed: float, load: float, share: float
) -> None:
    ended = [Ended(key, took, part * took) for key, took, part in past]
    now = AtWork(Ahead("a", 5.0), elapsed, load * elapsed, share)
    found = left(ended, now, [Ahead("b", 3.0)])
    assert found.now_s is not None and found.now_s >= 0
    assert found.sweep_s is not None and found.sweep_s >= found.now_s


@given(st.floats(0.05, 0.95), st.floats(1, 1e4))
def test_a_run_that_goes_as_it_was_foretold_ends_when_it_was(share: float, load: float) -> None:
    now = AtWork(Ahead("a"), elapsed_s=3 + share * load, load_s=share * load, share=share)
    assert left([Ended("a", load + 3, load)], now, []).now_s == pytest.approx((1 - share) * load + AFTER_S)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "unknown"), (0.2, "1 s"), (89, "89 s"), (150, "2 min"), (7200, "2.0 h")]
)
def test_how_long_is_said_about(seconds: float | None, said: str) -> None:
    assert spoken(seconds) == said
