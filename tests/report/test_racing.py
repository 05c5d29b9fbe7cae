"""What a report says of a race."""

import pytest

from capsexp.report import build, racing, tables
from capsexp.report.exporters import markdown
from capsexp.results.report import Report
from tests.support.reports import a_run, a_sweep

RUNS = [
    *(a_run(1, s, trial=n) for n, s in enumerate((30.0, 30.2, 30.1), 1)),
    *(a_run(2, s, trial=n) for n, s in enumerate((10.0, 10.1), 1)),
    *(a_run(3, s, trial=n) for n, s in enumerate((5.0, 5.05, 5.02), 1)),
    a_run(4, 60.0),
]


def report(racing: bool, trials: object = "auto") -> Report:
    return build.assemble(a_sweep(RUNS, racing=racing, trials=trials, trials_max=10))


def test_who_is_out_since_when_and_why() -> None:
    found = report(True)
    first, second = racing.lines(found)
    assert first.startswith("workers=2: out after 2 runs: certainly slower than workers=3, by ")
    assert second.startswith("workers=4: out after 1 run: certainly gains less than 1.5x over workers=1: ")
    said = markdown.render(found)
    assert "## Out of the race" in said and "search=race dropped 2 of 4 configurations after 3 runs of them" in said
    assert [tables.came_to(c) for c in found.configurations] == ["BASELINE", "dropped", "FEASIBLE", "NOT FEASIBLE"]
    assert found.recommendation and (found.recommendation.key, found.recommendation.decided) == ("workers=3", True)
    assert found.verdict == "FEASIBLE" and found.decide is None
    assert found.trials.open == ()


def test_a_grid_drops_nobody() -> None:
    found = report(False)
    assert racing.lines(found) == [] and "Out of the race" not in markdown.render(found)
    assert {one.key for one in found.trials.open} >= {"workers=4"}


@pytest.mark.parametrize(("trials", "rounds"), [("auto", ()), (4, ("workers=1", "workers=3"))])
def test_a_race_goes_on_for_as_many_trials_as_are_asked_for(trials: object, rounds: tuple[str, ...]) -> None:
    asked = report(True, trials).trials.open
    assert {one.key for one in asked} | {key for one in asked for key in one.beside} == set(rounds)
    assert all(one.race for one in asked)


def test_what_a_race_of_so_many_trials_leaves_open_has_a_line_that_decides_it() -> None:
    two = [
        *(a_run(1, s, trial=n) for n, s in enumerate((30.0, 31.0), 1)),
        *(a_run(2, s, trial=n) for n, s in ((1, 9.0), (2, 9.3))),
    ]
    found = build.assemble(a_sweep(two, racing=True, trials=2, trials_max=10))
    assert found.trials.open == () and found.recommendation and not found.recommendation.decided
    assert found.decide and found.decide.overrides == ("trials=3",)
