"""Speeds of configurations that have had few runs, in trials that the machine shifts. From values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import blocks
from tests.support.values import HOG, made_run

KEYS = st.sampled_from("abcde")
PARTS = st.dictionaries(KEYS, st.dictionaries(st.integers(1, 5), st.floats(1.0, 1000.0), max_size=4), max_size=5)


def test_configurations_that_share_no_trial_keep_their_own_speeds_and_are_not_compared() -> None:
    found = blocks.fit({"a": {1: 100.0, 2: 101.0}, "b": {3: 100.0, 4: 101.0}, "c": {5: 42.0}})
    middle = math.sqrt(100 * 101)
    assert [found.speed(key)[0] for key in "abc"] == pytest.approx([middle, middle, 42.0])
    assert found.degrees == 0  # the trials may have made all of the difference
    apart = blocks.fit({"a": {1: 100.0, 2: 101.0}, "d": {1: 50.0, 2: 51.0}, "b": {3: 10.0, 4: 10.1}})
    assert apart.degrees == 1
    for one, other in (("a", "b"), ("b", "d")):
        assert apart.ratio(one, other, 0.95) is None
        assert apart.surely(one, other, 0.5) == apart.surely(other, one, 0.5) == -math.inf
    told = apart.ratio("a", "d", 0.95)
    assert told is not None and told[0] < 2 < told[1]
    assert apart.log("a") > apart.log("d") > apart.log("b")  # by their speeds as they are


def test_a_third_connects_those_that_share_no_trial() -> None:
    shift = {1: 1.0, 2: 0.5, 3: 2.0}
    made = {"a": (1,), "b": (3,), "c": (1, 2), "d": (2, 3)}
    speed = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0}
    found = blocks.fit({key: {t: speed[key] * shift[t] for t in own} for key, own in made.items()})
    for key in speed:
        assert found.speed(key)[0] == pytest.approx(speed[key])  # the average trial shifts by 1
    assert set(found.parts) == {0} and found.degrees == 0


@given(PARTS)
def test_a_speed_depends_on_what_it_is_connected_with_alone(speeds: dict[str, dict[int, float]]) -> None:
    """Neither on the order, nor on the rest."""
    found = blocks.fit(speeds)
    turned = blocks.fit(dict(reversed(speeds.items())))
    assert set(found.keys) == {key for key, own in speeds.items() if own}
    assert found.degrees == turned.degrees and found.noise == pytest.approx(turned.noise, abs=1e-9)
    for part in set(found.parts):
        own = {key: speeds[key] for key, number in zip(found.keys, found.parts, strict=True) if number == part}
        alone = blocks.fit(own)
        assert set(alone.parts) == {0}
        for key, runs in own.items():
            assert found.log(key) == pytest.approx(turned.log(key)) == pytest.approx(alone.log(key))
            if len(own) == 1:
                assert found.log(key) == pytest.approx(float(np.mean(np.log([*runs.values()]))))


def test_speeds_are_of_the_runs_that_count() -> None:
    runs = [made_run(1, 10.0), made_run(1, 5.0, trial=2, disturbed=HOG), made_run(2, None, figures=None)]
    assert blocks.speeds_of(runs) == {"workers=1": {1: 10.0}}
