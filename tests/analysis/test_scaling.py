"""The scalability law and the memory line, on values of known truth."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import scaling
from capsexp.report import build, tables
from capsexp.results.report import Configuration, Estimate, Law
from tests.support.reports import a_sweep

REPORT = build.assemble(a_sweep([]))


def usl(n: int, rate: float = 10.0, sigma: float = 0.05, kappa: float = 0.002) -> float:
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


@given(st.floats(0.1, 1000), st.floats(0, 0.5), st.floats(0, 0.02))
def test_parameters_are_recovered(rate: float, sigma: float, kappa: float) -> None:
    law = scaling.Law({n: usl(n, rate, sigma, kappa) for n in (1, 2, 4, 8, 16)})
    found = law.parameters
    assert found.rate == pytest.approx(rate, rel=1e-4)
    assert found.sigma == pytest.approx(sigma, abs=1e-4)
    assert found.kappa == pytest.approx(kappa, abs=1e-4)
    low, high = law.interval(32) or (0.0, 0.0)
    assert low <= law.at(32) * 1.0001 and law.at(32) <= high * 1.0001


def test_the_law_ends_where_the_cores_end() -> None:
    law = scaling.Law({1: 5.0, 2: 9.8, 3: 9.0}, cap=2)
    assert law.at(2) == pytest.approx(9.8)
    assert law.at(3) == law.at(8) == pytest.approx(9.0)  # as much as it was measured to fall
    assert law.interval(8) is None  # from two counts: a guess
    assert scaling.Law({1: 5.0, 2: 9.8}).at(4) < 4 * 5.0


def test_memory_is_a_line() -> None:
    line = scaling.MemoryModel({1: 229.0, 2: 354.0, 3: 487.0})
    assert line.at(4) == pytest.approx(614, abs=5)
    assert line.largest(6144) == 47  # relative errors: a small server counts as much as a large one
    assert scaling.MemoryModel({1: 100.0, 2: 100.0}).largest(50) is None
    assert line.interval(4) is None  # from three counts: a guess
    low, high = scaling.MemoryModel({n: 100.0 + 120 * n for n in (1, 2, 3, 4, 6)}).interval(12) or (0.0, 0.0)
    assert (low, high) == pytest.approx((1540, 1540), rel=1e-6)


def measured(workers: int, speed: float, mb: float, used: float | None, threads: int = 1) -> Configuration:
    values = {"throughput_rtfx": speed, "peak_memory_mb": mb, "cpu_utilisation": used}
    return Configuration(
        key=f"workers={workers}", workers=workers, threads=threads, pool="process", engine="sphinx",
        metrics={tag: Estimate(value=value) for tag, value in values.items()},
    )  # fmt: skip


def test_predictions_are_marked_and_go_to_twice_the_largest() -> None:
    rows = [measured(1, 5.0, 229, 0.5), measured(2, 9.8, 354, 0.95), measured(3, 9.7, 487, 0.97)]
    found = scaling.extrapolate(rows, 2, 500.0)
    assert found
    assert (found.uses_cpu, found.cap_workers, found.guess) == (True, 2, True)
    assert [row.workers for row in found.predicted] == [4, 5, 6]
    assert all(row.predicted for row in found.predicted)
    assert found.memory and found.memory.largest_within_limit == 3
    assert (found.fitted, found.law, found.by_machine) == (2, None, ())  # where the cores end
    wide = scaling.extrapolate(rows, 4, 500.0)
    assert wide and wide.law and all(cell.predicted for cell in wide.by_machine)
    assert {c.workers for c in wide.by_machine if c.cpus == 2} == {2}
    sleeping = scaling.extrapolate([measured(1, 5.0, 50, 0.01), measured(2, 9.8, 60, 0.02)], 2, None)
    assert sleeping
    assert sleeping.cap_workers is None
    assert scaling.extrapolate(rows[:1], 2, None) is None


def test_two_counts_predict_nothing() -> None:
    """Whatever two points say is a law of its own: 57 workers would be a number without a reason."""
    found = scaling.extrapolate([measured(1, 5.0, 229, 0.1), measured(2, 9.8, 354, 0.2)], 16, 6144.0)
    assert found
    assert (found.enough, found.law, found.memory) == (False, None, None)
    assert (found.predicted, found.by_machine) == ((), ())
    assert tables.scaling_lines(msgspec.structs.replace(REPORT, scaling=(found,))) == [
        "threads=1, pool=process, from 1, 2 workers: no prediction, which needs three numbers of workers"
    ]


@pytest.mark.parametrize(("speeds", "cpus"), [({8: 100.0, 16: 92.0}, 16), ({4: 50.0, 8: 42.0}, 8), ({16: 90.0}, 8)])
def test_a_law_without_one_worker_and_with_a_slower_larger_count(speeds: dict[int, float], cpus: int) -> None:
    law = scaling.Law(speeds, cap=cpus)
    assert law.parameters.rate <= max(speeds.values())
    for workers, speed in speeds.items():
        assert law.at(workers) == pytest.approx(speed, rel=0.15)


@given(
    st.dictionaries(st.integers(1, 256), st.floats(1e-3, 1e5), min_size=2, max_size=8),
    st.integers(1, 128), st.integers(1, 8), st.sampled_from([None, 0.01, 0.9]),
)  # fmt: skip
def test_whatever_was_measured_there_are_predictions_that_are_numbers(
    speeds: dict[int, float], cpus: int, threads: int, used: float | None
) -> None:
    rows = [measured(n, x, 100.0 + n * x % 70, used, threads) for n, x in speeds.items()]
    found = scaling.extrapolate(rows, cpus, 6144.0)
    assert found
    law = found.law or Law(rate=min(speeds.values()), sigma=0, kappa=0)
    assert all(math.isfinite(value) for value in (law.rate, law.sigma, law.kappa))
    assert 0 < law.rate <= max(speeds.values()) * (1 + 1e-9)
    for row in found.predicted:
        assert 0 < row.throughput_rtfx < math.inf
        for value, ci95 in ((row.throughput_rtfx, row.throughput_ci95), (row.peak_memory_mb, row.peak_ci95)):
            if ci95 is not None and value is not None:
                assert ci95[0] * (1 - 1e-9) <= value <= ci95[1] * (1 + 1e-9)
    assert all(cell.workers >= 0 for cell in found.by_machine)
