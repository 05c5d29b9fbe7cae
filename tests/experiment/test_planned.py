"""The runs that a command asks for."""

import pytest

from capsexp import compose
from capsexp.experiment.sweep import Planned, plan


def planned(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> tuple[list[Planned], int]:
    """And how often Hydra composed."""
    made, count = compose.raw, 0

    def counting(*arguments: object, **more: object) -> object:
        nonlocal count
        count += 1
        return made(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(compose, "raw", counting)
    return plan(["engine=null", *overrides], None, "config").planned, count


def test_trials_are_alike_and_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, count = planned(monkeypatch, "workers=1,2", "trials=3")
    assert [(p.config.workers, p.config.trial) for p in runs] == [(n, trial) for trial in (1, 2, 3) for n in (1, 2)]
    assert count == 1 + 2  # what all have in common, and each configuration
    one, other = runs[0].config, runs[2].config
    assert one.load == other.load
    assert one.load is not other.load  # a change in one is none in another


def test_a_setting_that_stands_for_the_trial_is_each_trial_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _ = planned(monkeypatch, "workers=1,2", "trials=3", "load.seed=${trial}")
    assert [p.config.load.seed for p in runs] == [1, 1, 2, 2, 3, 3]
