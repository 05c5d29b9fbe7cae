"""What a sweep adds to its planned runs, as values: a report in, runs out."""

import signal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from capsexp.analysis.trials import FRUITLESS
from capsexp.config import ReportConfig
from capsexp.experiment import further
from capsexp.experiment.further import Further, foretold
from capsexp.results.report import Open, Report, RunValidity, TrialsAsked, Validity
from tests.support import values
from tests.support.bench import Bench
from tests.support.harmed import trials
from tests.support.reports import reported

OPEN = (Open(key="workers=2", beside=("workers=1",), why="speedup: so and so"),)


def a_sweep(trials: object = "auto", budget_s: float | None = 480.0, most: int = 10, search: str = "grid") -> Any:
    report = ReportConfig(budget_s=budget_s)
    kind = SimpleNamespace(name=search)
    config = SimpleNamespace(trials=trials, trials_max=most, report=report, search=kind)
    return SimpleNamespace(config=config, search=None)


def a_report(open_: tuple[Open, ...] = OPEN, disturbed: int = 0, runs: int = 3) -> Report:
    """Of one and two workers, the first runs of which were disturbed."""
    found, _ = reported(*trials(1, *[10.0] * runs), *trials(2, *[5.0] * runs))
    rows = [msgspec.structs.replace(c, validity=_validity(disturbed, runs)) for c in found.configurations]
    asked = TrialsAsked(asked="auto", max=10, open=open_)
    return msgspec.structs.replace(found, trials=asked, configurations=tuple(rows))


def _validity(disturbed: int, runs: int) -> Validity:
    each = (RunValidity(num=n, trial=n, valid=n > disturbed) for n in range(1, runs + 1))
    return Validity(valid=runs - disturbed, invalid=disturbed, runs=tuple(each))


def test_what_is_open_is_run_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Further(a_sweep())
    assert asked.runs(a_report()) == [("workers=1", 4), ("workers=2", 4)]
    assert "trial 4, as workers=2 is open: speedup: so and so" in capsys.readouterr().err
    assert asked.runs(a_report(())) == []
    assert asked.stopped is None


def test_no_run_is_begun_that_would_end_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(further, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: 1e9 + now))
    asked = Further(a_sweep(budget_s=60.0))
    asked.took_s.update({"workers=1": 20.0, "workers=2": 10.0})
    assert asked.runs(a_report())
    now = 130.0
    assert asked.runs(a_report())  # ends at 160 s, which is 60 s after the first question
    now = 130.1
    assert asked.runs(a_report()) == []
    assert (asked.stopped, asked.since) == ("budget_s", 1e9 + 100)


def test_what_an_earlier_command_ran_is_known_to_take_time() -> None:
    asked = Further(a_sweep(budget_s=60.0))
    asked.took([values.a_run(key="workers=1", phases_s={"reference": 20.0, "total": 30.0})])
    asked.took(
        [
            values.a_run(key="workers=1", phases_s={"total": 1.0}),
            values.a_run(key="workers=2", phases_s={"total": 20.0}),
        ]
    )
    assert asked.took_s == {"workers=1": 50.0, "workers=2": 20.0}
    assert asked.runs(a_report()) == [] and asked.stopped == "budget_s"


@pytest.mark.parametrize("sweep", [a_sweep(budget_s=None), a_sweep(trials=3, budget_s=0.0)])
def test_time_bounds_what_is_automatic(sweep: Any) -> None:
    asked = Further(sweep)
    asked.took_s.update({"workers=1": 1e6})
    assert asked.runs(a_report((), disturbed=1)) == [("workers=1", 1)]


def test_repetitions_end_where_the_machine_stays_noisy() -> None:
    asked = Further(a_sweep(trials=3))
    made = [asked.runs(a_report((), disturbed=1)) for _ in range(FRUITLESS + 1)]
    assert made == [[("workers=1", 1)]] * FRUITLESS + [[]]
    asked = Further(a_sweep(trials=3))
    for _ in range(FRUITLESS + 1):  # one in two helps
        assert asked.runs(a_report((), disturbed=1)) == [("workers=1", 1)]
        asked.runs(a_report((), disturbed=0))


def test_what_may_be_added_is_said_before() -> None:
    assert foretold(a_sweep(trials=3)) == ""
    assert foretold(a_sweep()).endswith(
        "can change an answer, up to 10 of each (trials_max) within 480 s (report.budget_s)"
    )
    assert foretold(a_sweep(budget_s=None)).endswith("up to 10 of each (trials_max)")


def test_the_rounds_of_a_race_are_said_and_take_none_of_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(further, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: 1e9 + now))
    asked = Further(a_sweep(budget_s=60.0, search="race"))
    asked.took_s.update({"workers=1": 20.0, "workers=2": 10.0})
    rounds = tuple(Open(key=key, beside=(), why="in the race", race=True) for key in ("workers=1", "workers=2"))
    assert asked.runs(a_report(rounds, runs=1)) == [("workers=1", 2), ("workers=2", 2)]
    said = capsys.readouterr().err
    assert "trial 2, as 2 configurations may still be the best: workers=1, workers=2" in said
    now = 1000.0
    assert asked.runs(a_report(rounds, runs=2))
    assert asked.runs(a_report())  # the time begins here
    now = 1060.1
    assert asked.runs(a_report()) == []
    assert asked.stopped == "budget_s"
    assert foretold(a_sweep(trials=3, search="race")) == (
        "; then further rounds of the configurations that may still be the best (search=race)"
    )


@pytest.mark.slow
def test_a_race_makes_fewer_runs_and_says_who_is_out(bench: Bench) -> None:
    given = ("trials=3", "search=race", "reference=off", "workers=1,4,6", "engine.rtf=0.2", "thresholds.speedup=null")
    assert bench.run(*given, "-m") == 0, bench.stderr
    assert "3 runs into" in bench.stderr and "may still be the best: " in bench.stderr
    report = bench.report()
    runs = {c["key"]: len(c["validity"]["runs"]) for c in report["configurations"]}
    out = {c["key"]: c["dropped"] for c in report["configurations"] if c["dropped"]}
    assert report["recommendation"]["key"] not in out
    assert sum(runs.values()) <= 9
    assert all(one["trials"] == runs[key] and one["why"] for key, one in out.items())
    again = bench.start(f"resume={bench.out}", bare=True)
    assert bench.finish(again) == 0, bench.stderr
    assert {c["key"]: len(c["validity"]["runs"]) for c in bench.report()["configurations"]} == runs


@pytest.mark.slow
def test_a_sweep_ends_with_its_time_and_goes_on_when_it_is_resumed(bench: Bench) -> None:
    given = ("trials=auto", "trials_max=4", "report.ci_width=0.001", "reference=off", "workers=1,2")
    assert bench.run(*given, "report.budget_s=0", "-m") == 0, bench.stderr
    assert "6 runs into" in bench.stderr
    assert "up to 4 of each (trials_max) within 0 s (report.budget_s)" in bench.stderr
    stopped = bench.report()["trials"]
    assert "stopped at 3 trials by report.budget_s=0; still open: " in stopped["stopped"]
    assert [(one["key"], one["beside"]) for one in stopped["open"]] == [("workers=2", ["workers=1"])]
    again = bench.start(f"resume={bench.out}", "report.budget_s=null", bare=True)
    assert bench.finish(again) == 0, bench.stderr
    assert "trial 4, as workers=2 is open: " in bench.stderr
    assert [c["trials"] for c in bench.report()["configurations"]] == [4, 4]
    assert "stopped at 4 trials by trials_max=4" in bench.report()["trials"]["stopped"]


@pytest.mark.slow
def test_an_interrupt_among_the_trials_that_are_added_loses_nothing(bench: Bench) -> None:
    given = ("trials=auto", "trials_max=4", "report.ci_width=0.001", "reference=off", "workers=1,2", "engine.rtf=0.1")
    process = bench.start(*given, "-m")
    bench.until(process, "6-workers=1,trial=4/segments.csv")
    process.send_signal(signal.SIGINT)
    assert bench.finish(process) == 130, bench.stderr
    report = bench.report()
    assert (report["interrupted"], [c["trials"] for c in report["configurations"]]) == (True, [3, 3])
    assert report["decide"]["overrides"] == []
    again = bench.start(f"resume={bench.out}", bare=True)
    assert bench.finish(again) == 0, bench.stderr
    assert "6 finished before and kept" in bench.stderr
    assert sorted(path.name for path in bench.out.glob("[67]-*")) == ["6-workers=1,trial=4", "7-workers=2,trial=4"]
    assert [c["trials"] for c in bench.report()["configurations"]] == [4, 4]
