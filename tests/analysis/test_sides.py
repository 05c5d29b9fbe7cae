"""Both sides of one sweep: which run is of which, and what is told of runs made in turn on a machine that drifts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import change, statistics
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.regression import SAME, WORSE, judge
from capsexp.analysis.sides import sides
from capsexp.errors import ConfigError
from tests.support.values import config, made_run


def run(num: int, side: str, workers: int, makespan: float = 10.0, **more: object) -> Observed:
    """`key`: as long as keys get, cut off before the end."""
    tree = config(workers=workers, **more)
    tree["server"] = {**tree["server"], "cmd": side}
    return made_run(workers, makespan, num=num, trial=1 + num // 4, config=tree, key=f"server.cmd={side}-{num % 4}")


def test_what_differs_in_nothing_else_has_one_key() -> None:
    runs = [run(4 * t + n, side, w) for t in range(3) for n, (side, w) in enumerate(
        (side, w) for side in ("z old", "a new") for w in (1, 2))]  # fmt: skip
    found = sides(list(reversed(runs)), "server.cmd")
    assert found.names == ("z old", "a new")
    assert [o.run.key for o in found.before] == [o.run.key for o in found.after] == ["workers=1", "workers=2"] * 3
    assert [o.run.num for o in found.after] == [2, 3, 6, 7, 10, 11]
    one = [run(n, side, 2) for n, side in enumerate(("old", "new"))]
    assert {o.run.key for o in sides(one, "server.cmd").after} == {"workers=2"}


def test_a_group_of_settings_is_a_side_by_its_name_and_what_it_holds_is_no_other_difference() -> None:
    engines = [{"name": "null", "rtf": 0.1}, {"name": "sphinx", "beam": 3}]
    runs = [run(n, "x", w, engine=engine) for n, (engine, w) in enumerate((e, w) for e in engines for w in (1, 2))]
    found = sides(runs, "engine")
    assert found.names == ("null", "sphinx") and [o.run.key for o in found.after] == ["workers=1", "workers=2"]
    pools = [run(n, side, 1, engine=engine) for n, (side, engine) in enumerate((s, e) for s in "ab" for e in engines)]
    assert {o.run.key for o in sides(pools, "server.cmd").before} == {"engine=null", "engine=sphinx"}


@pytest.mark.parametrize(
    ("by", "said"),
    [("workers", "has 3 values in"), ("threads", "has 1 value in"), ("server.x.y", "is no setting of"),
     ("trials_", "is no setting of")],
)  # fmt: skip
def test_what_has_not_two_values_has_no_sides(by: str, said: str) -> None:
    runs = [run(n, "x", w) for n, w in enumerate((1, 2, 3))]
    with pytest.raises(ConfigError, match=rf"^--by {by}: {said} this sweep; .* as in {by}=A,B"):
        sides(runs, by)


def drifting(ratio: float, drift: float, trials: int = 5) -> list[Observed]:
    """In each trial a run of both sides, by turns, each by `drift` slower than the one before."""
    noise = random.Random(3)
    return [
        run(n, "ab"[n % 2], 1, 10 * (ratio if n % 2 else 1) * (1 + drift) ** n * (1 + noise.gauss(0, 0.01)))
        for n in range(2 * trials)
    ]


@pytest.mark.parametrize("drift", [-0.05, 0.0, 0.02, 0.05])
def test_a_machine_that_drifts_is_no_server_that_changed(drift: float) -> None:
    for ratio, verdict in ((1.0, SAME), (1.1, WORSE)):
        both = sides(drifting(ratio, drift), "server.cmd")
        found = {f.metric: f for f in judge([both.before], both.after, in_turn=True)}["throughput_rtfx"]
        assert found.verdict == verdict and found.ratio == pytest.approx(1 / ratio, rel=0.02)


def test_sides_that_ran_one_after_the_other_tell_little() -> None:
    """What the one side and what the machine did cannot be told apart then."""
    apart = [(float(n), 10.0 + 0.1 * (n % 3)) for n in range(5)], [(5.0 + n, 11.0 + 0.1 * (n % 3)) for n in range(5)]
    turned = (
        [(2.0 * n, v) for n, (_, v) in enumerate(apart[0])],
        [(2.0 * n + 1, v) for n, (_, v) in enumerate(apart[1])],
    )
    errors = [gap.error for each in (apart, turned) if (gap := statistics.gap_in_turn(*each))]
    assert errors[0] > 1.8 * errors[1]


values = st.lists(st.floats(0.5, 2.0), min_size=3, max_size=6)


@given(values, values, st.floats(-0.1, 0.1), st.floats(0.8, 1.25))
def test_a_steady_drift_changes_no_gap(old: list[float], new: list[float], drift: float, scale: float) -> None:
    """Any steady drift may be laid over the runs, and the gap moves with the values of one side as they do."""
    before = [(2.0 * n, v) for n, v in enumerate(old)]
    after = [(2.0 * n + 1, v) for n, v in enumerate(new)]
    plain = statistics.gap_in_turn(after, before)
    laid = statistics.gap_in_turn(*([(at, scale**k * v * (1 + drift) ** at) for at, v in side]
                                    for k, side in ((1, after), (0, before))))  # fmt: skip
    assert plain and laid
    import math

    assert laid.value == pytest.approx(plain.value + math.log(scale), abs=1e-9)
    assert laid.error == pytest.approx(plain.error, abs=1e-9) and laid.degrees == len(old) + len(new) - 3


def test_too_few_or_nothing_is_no_gap() -> None:
    three = [(1.0, 1.0), (3.0, 2.0), (5.0, 1.5)]
    assert statistics.gap_in_turn(three[:2], three) is None
    assert statistics.gap_in_turn([(0.0, 0.0), *three], three) is None
    assert change.interleaved("x", "makespan_s", three[:2], three, 0.1) is None  # type: ignore[arg-type]
