"""Which part of the load is timed, and before which runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.experiment.reference_part import PART_S, Before, Key, due, part

ORDER: list[Key] = [(f"s{n}", 0) for n in range(10)]
EVEN = dict.fromkeys(ORDER, 1.0)


def test_a_short_load_is_timed_in_whole_rounds() -> None:
    found = part(ORDER, EVEN, 1.2, 1)
    assert found.keys == tuple(ORDER) * 2
    assert found.rounds == 2


def test_of_a_long_load_the_first_segments_stand_for_as_much_as_they_take() -> None:
    each_s = {key: 1.0 if n % 2 else 3.0 for n, key in enumerate(ORDER)}
    found = part(ORDER, each_s, 20.0, 1)
    assert found.keys == tuple(ORDER[:1])
    assert found.rounds == pytest.approx(3 / 20)
    assert part(ORDER, each_s, 10.0, 2).rounds == pytest.approx(7 / 20)  # 3 + 1 are 2 s only


@given(
    count=st.integers(1, 40), processes=st.integers(1, 64), round_s=st.floats(0.0, 1e4),
    each=st.lists(st.floats(0.001, 60.0), min_size=40, max_size=40),
)  # fmt: skip
def test_no_process_is_without_a_segment_and_no_part_takes_much_longer(
    count: int, processes: int, round_s: float, each: list[float]
) -> None:
    order = [(f"s{n}", 0) for n in range(count)]
    each_s = dict(zip(order, each, strict=False))
    found = part(order, each_s, round_s, processes)
    assert len(found.keys) >= processes
    whole = sum(each_s.values())
    assert found.rounds == pytest.approx(sum(each_s[key] for key in found.keys) / whole)
    longest = max(each_s.values()) / whole * round_s
    enough = found.rounds * round_s <= 1.5 * PART_S + longest + 0.01
    assert enough or len(found.keys) < processes + count


def before(known: bool = True, here: bool = False, took_s: float = 0.0) -> Before:
    return Before(known, here, took_s, next_s=4.0)


def test_a_count_is_timed_once_in_each_trial() -> None:
    counts = {1: before(), 2: before(here=True)}
    assert due([1, 2], counts, 50.0, 0.1) == (1,)


def test_timing_takes_no_more_of_the_runs_time_than_its_share() -> None:
    assert due([1], {1: before(took_s=2.0)}, 50.0, 0.1) == ()
    assert due([1], {1: before(took_s=2.0)}, 60.0, 0.1) == (1,)
    assert due([1], {1: before(took_s=2.0)}, 1.0, None) == (1,)


def test_what_nobody_knows_is_timed_once_whatever_it_takes() -> None:
    assert due([2], {2: before(known=False)}, 1.0, 0.0) == (2,)
    assert due([2], {2: before()}, 1e9, 0.0) == ()
