"""The scalability law and the memory line, on values of known truth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import scaling


def usl(n: int, rate: float = 10.0, sigma: float = 0.05, kappa: float = 0.002) -> float:
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


@given(st.floats(0.1, 1000), st.floats(0, 0.5), st.floats(0, 0.02))
def test_parameters_are_recovered(rate: float, sigma: float, kappa: float) -> None:
    law = scaling.Law({n: usl(n, rate, sigma, kappa) for n in (1, 2, 4, 8, 16)})
    found = law.parameters
    assert found["lambda"] == pytest.approx(rate, rel=1e-4)
    assert found["sigma"] == pytest.approx(sigma, abs=1e-4)
    assert found["kappa"] == pytest.approx(kappa, abs=1e-4)
    low, high = law.interval(32) or (0.0, 0.0)
    assert low <= law.at(32) * 1.0001 and law.at(32) <= high * 1.0001


def test_the_law_ends_where_the_cores_end() -> None:
    law = scaling.Law({1: 5.0, 2: 9.8, 3: 9.0}, cap=2)
    assert law.at(2) == pytest.approx(9.8)
    assert law.at(3) == law.at(8) == pytest.approx(9.0)  # as much as it was measured to fall
    assert law.interval(8) is None  # from two counts: a guess
    assert scaling.Law({1: 5.0, 2: 9.8}).at(4) < 4 * 5.0


def test_memory_is_a_line() -> None:
    line = scaling.Line({1: 229.0, 2: 354.0, 3: 487.0})
    assert line.at(4) == pytest.approx(614, abs=5)
    assert line.largest(6144) == 47  # relative errors: a small server counts as much as a large one
    assert scaling.Line({1: 100.0, 2: 100.0}).largest(50) is None
    assert line.interval(4) is None  # from three counts: a guess
    low, high = scaling.Line({n: 100.0 + 120 * n for n in (1, 2, 3, 4, 6)}).interval(12) or (0.0, 0.0)
    assert (low, high) == pytest.approx((1540, 1540), rel=1e-6)


def measured(workers: int, speed: float, mb: float, used: float) -> dict[str, object]:
    return {
        "key": f"workers={workers}", "workers": workers, "threads": 1, "pool": "process", "engine": "sphinx",
        "throughput_xrt": speed, "memory": {"peak_mb": mb}, "cpu": {"utilisation": used},
    }  # fmt: skip


def test_predictions_are_marked_and_go_to_twice_the_largest() -> None:
    rows = [measured(1, 5.0, 229, 0.5), measured(2, 9.8, 354, 0.95), measured(3, 9.7, 487, 0.97)]
    found = scaling.extrapolate(rows, 2, 500.0)
    assert found
    assert (found["uses_cpu"], found["cap_workers"], found["guess"]) == (True, 2, True)
    assert [row["workers"] for row in found["predicted"]] == [4, 5, 6]
    assert all(row["predicted"] for row in found["predicted"] + found["by_machine"])
    assert found["memory"]["largest_within_limit"] == 3
    assert {c["workers"] for c in found["by_machine"] if c["cpus"] == 2} == {2}
    sleeping = scaling.extrapolate([measured(1, 5.0, 50, 0.01), measured(2, 9.8, 60, 0.02)], 2, None)
    assert sleeping
    assert sleeping["cap_workers"] is None
    assert scaling.extrapolate(rows[:1], 2, None) is None
