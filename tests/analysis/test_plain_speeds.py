"""Server efficiency: a run beside plain processes that were timed in its trial."""

from typing import Any

import msgspec
import pytest

from capsexp.analysis.aggregate import Observed
from capsexp.analysis.plain_speeds import PlainSpeeds
from capsexp.results.report import Configuration
from tests.support.values import HOG, made_run, report


def run(trial: int, makespan_s: float, reference_rtfx: float | None, **more: Any) -> Observed:
    """Two workers, whose reference the sweep has not timed otherwise; its audio is 100 s."""
    timed = [{"processes": 2, "makespan_s": 1.0, "audio_s": reference_rtfx}] if reference_rtfx else []
    return made_run(2, makespan_s, trial=trial, num=more.pop("num", trial), reference_runs=timed, **more)


def efficiency(*runs: Observed) -> Any:
    [one] = report(*runs)
    return one.metric("server_efficiency")


def test_a_machine_that_slows_down_from_trial_to_trial_is_no_loss_of_the_server() -> None:
    found = efficiency(run(1, 10.0, 12.5), run(2, 20.0, 6.25), run(3, 40.0, 3.125))
    assert found.value == pytest.approx(0.8)
    assert found.ci95 == pytest.approx((0.8, 0.8))
    assert (found.n, found.of) == (3, "trials")
    assert found.values == pytest.approx((0.8, 0.8, 0.8))


def test_how_much_it_varies_within_trials_is_its_interval() -> None:
    found = efficiency(run(1, 10.0, 12.5), run(2, 10.0, 10.0))
    low, high = found.ci95
    assert low < 0.8
    assert high > 1.0


def test_timed_in_one_trial_it_has_that_trial_s_value_and_no_interval() -> None:
    found = efficiency(run(1, 10.0, 12.5), run(2, 20.0, None))
    assert found.value == pytest.approx(0.8)
    assert found.n == 1
    assert found.ci95 is None


def test_a_repeated_trial_counts_with_what_was_timed_before_the_repetition() -> None:
    disturbed = run(1, 30.0, 3.0, num=1, disturbed=HOG)
    found = efficiency(disturbed, run(1, 10.0, 12.5, num=7), run(2, 10.0, 12.5, num=2))
    assert found.values == pytest.approx((0.8, 0.8))


def test_another_configuration_with_as_many_workers_shares_what_was_timed_in_its_trial() -> None:
    one, other = report(run(1, 10.0, 12.5), run(2, 10.0, 12.5), *_forked())
    assert isinstance(other, Configuration)
    assert other.metric("server_efficiency").values == pytest.approx((0.4, 0.4))
    assert one.metric("server_efficiency").values == pytest.approx((0.8, 0.8))


def _forked() -> list[Observed]:
    return [run(trial, 20.0, None, num=10 + trial, key="prefork", pool="prefork") for trial in (1, 2)]


def test_a_sweep_of_before_has_the_one_reference_for_all_trials() -> None:
    [one] = report(made_run(1, 10.0, trial=1), made_run(1, 10.0, trial=2))
    found = one.metric("server_efficiency")
    assert (found.value, found.ci95) == (pytest.approx(1.0), None)


def test_each_reference_has_the_speeds_that_were_timed_of_it() -> None:
    one, other = run(1, 10.0, 12.5), run(1, 10.0, 3.0, num=2)
    speeds = PlainSpeeds([one.run, msgspec.structs.replace(other.run, reference="other")], {})
    timed = speeds.of(one.run.reference or "")
    assert {count: [each.audio_s for each in runs] for count, runs in timed.items()} == {2: [12.5]}
