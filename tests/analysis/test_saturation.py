"""How many users could be served who do not wait, on users of planted rhythm."""

import math

import pytest

from capsexp.analysis.latency import Experience
from capsexp.analysis.saturation import carried, users_carried


def users(count: int, waited: float, turns: int = 10, think: float = 3.0) -> list[Experience]:
    """Each speaks for 5 s, waits for the text and thinks."""
    every = 5.0 + waited + think
    return [
        Experience(None, user, user * every / count + turn * every, 5.0, True, 5.0 + waited, waited)
        for user in range(count)
        for turn in range(turns)
    ]


def test_a_server_that_is_busy_shows_what_it_carries() -> None:
    """20 users who wait 12 s ask once in 20 s: one request a second, which 8 users who do not wait would ask for."""
    assert users_carried(users(20, 12.0)) == pytest.approx(8.0, rel=0.08)
    most, busy = carried({20: [users(20, 12.0)], 4: [users(4, 0.5)]}) or (0.0, False)
    assert busy and most == pytest.approx(8.0, rel=0.08)


def test_one_that_is_idle_shows_that_it_carries_more() -> None:
    most, busy = carried({4: [users(4, 0.5)]}) or (0.0, True)
    assert not busy and most < 4.5


def test_what_tells_nothing() -> None:
    assert carried({}) is None
    assert carried({4: [users(4, 0.5, turns=2)]}) is None  # too few were done while all were there
    assert users_carried(users(30, 1.0, turns=1)) is None  # they came once
    lost = [Experience(None, 0, at, 5.0, True, math.inf, math.inf) for at in range(30)]
    waiting = [Experience(None, 0, at, 5.0, True, 9.0, 4.0, censored=True) for at in range(30)]
    assert users_carried([*lost, *waiting]) is None
