"""How configurations stand so far, from reports that were made of values."""

from capsexp.live.standing import Standing, standings
from capsexp.report.build import assemble
from tests.support.reports import a_run, a_sweep


def found(*runs: tuple[int, int, float], **more: object) -> dict[str, Standing]:
    """Of runs (workers, trial, makespan)."""
    files = a_sweep([a_run(workers, makespan, trial=trial, **more) for workers, trial, makespan in runs])
    return {one.key: one for one in standings(assemble(files).configurations)}


def test_a_ratio_that_is_known_stands_with_its_interval() -> None:
    runs = [(w, t, m * (1 + t * w / 100)) for t in (1, 2, 3, 4) for w, m in ((1, 20.0), (2, 10.0))]
    two = found(*runs)["workers=2"]
    assert (two.trials, two.right, two.tone) == (4, "4/4", "good")
    assert two.speedup == "1.95 (1.92 to 1.99)"


def test_what_is_open_says_what_would_decide_it() -> None:
    one_pair = found((1, 1, 20.0), (2, 1, 10.0))["workers=2"]
    assert one_pair.tone == "open"
    assert "speedup 2.00 (limit 1.5): about 2 more trials would decide it" in one_pair.said


def test_what_fails_says_by_which_figure() -> None:
    runs = [(w, t, m + t / 100) for t in (1, 2, 3, 4) for w, m in ((1, 20.0), (2, 19.0))]
    two = found(*runs)["workers=2"]
    assert two.tone == "bad"
    assert two.said == "fails: speedup 1.05 (limit 1.5)"


def test_what_was_disturbed_says_so() -> None:
    two = found((1, 1, 20.0), (2, 1, 10.0), disturbed=4000)["workers=2"]
    assert two.disturbed and two.tone == "bad"
    assert two.said.startswith("disturbed: ")


def test_what_has_had_no_run_yet_does_not_stand_there() -> None:
    files = a_sweep([a_run(1, 20.0)], missing=[("workers=2", 1)])
    assert [one.key for one in standings(assemble(files).configurations)] == ["workers=1"]
