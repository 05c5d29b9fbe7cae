"""A recommendation that another trial may change is only likely, in every sentence."""

from dataclasses import replace
from typing import Any

import msgspec

from capsexp.report import build
from capsexp.report.exporters import text
from capsexp.results.report import Report
from tests.support.reports import a_run, a_sweep


def looked(**more: Any) -> Report:
    """Three workers are 4 % faster than two, give or take 3: by more than the tolerance, or not."""
    makespans = {1: (20.0, 20.2, 19.8), 2: (10.0, 10.1, 9.9), 3: (9.7, 9.6, 9.5)}
    runs = [a_run(w, each, trial=t) for w, some in makespans.items() for t, each in enumerate(some, 1)]
    files = a_sweep(runs, **more)
    return build.assemble(replace(files, sweep=msgspec.structs.replace(files.sweep, trials="auto")))


def test_what_is_open_of_a_recommendation_is_told_with_it() -> None:
    found = looked()
    chosen, said = found.recommendation, text.render(found)
    assert [one.key for one in found.trials.open] == ["workers=3"] and chosen
    assert (chosen.key, chosen.decided) == ("workers=2", False)
    assert "Likely, but not decided: workers=2" in said and "Recommended:" not in said
    assert "Not decided: workers=3: workers=3 is 1.0" in said
    assert not (chosen.next_sentence or "").startswith("Run 2")


def test_a_sweep_that_was_interrupted_says_nothing_of_why_trials_stopped() -> None:
    assert looked().trials.stopped and looked(interrupted=True).trials.stopped is None
