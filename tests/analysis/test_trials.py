"""Which trials are asked for further: where they can change an answer, and nowhere else."""

from typing import Any

import msgspec
import pytest

from capsexp.analysis import gates, recommend, settle, trials
from capsexp.analysis.aggregate import Observed, configurations
from capsexp.results.report import Configuration, Open, Reason, RunValidity, SloResult, TrialsAsked, Validity
from capsexp.results.verdicts import Reading, Verdict
from tests.support import values
from tests.support.values import HOG, LIMITS, REFERENCES, RIGHT, made_run

TOLERANCE = 0.05


def looked(*runs: Observed, limits: Any = LIMITS) -> list[Configuration]:
    """With trials=auto."""
    from dataclasses import replace

    return configurations([replace(one, judged=one.judged or RIGHT) for one in runs], REFERENCES, limits, looks=True)


def asked(found: list[Configuration], ci_width: float | None = None) -> tuple[Open, ...]:
    configs = {c.key: values.config(workers=c.workers, threads=c.threads) for c in found}
    return trials.questions(found, recommend.choices(found, configs, TOLERANCE), TOLERANCE, ci_width)


def sweep(**makespans: tuple[float, ...]) -> list[Configuration]:
    """`w2=(5.0, 5.1)`: of two workers."""
    runs = [run for name, each in makespans.items() for run in values.trials(int(name[1:]), *each)]
    return looked(*runs)


BASE = (10.0, 10.1, 9.9)
CLEAR, SLOWED, SLOWER = (5.0, 5.05, 4.95), (5.0, 6.7, 4.95), (5.6, 5.6, 5.6)


def test_three_trials_are_enough_where_they_decide_everything() -> None:
    found = sweep(w1=BASE, w2=CLEAR, w3=SLOWER)
    assert [c.verdict for c in found] == ["BASELINE", "FEASIBLE", "FEASIBLE"]
    assert asked(found) == ()
    said = trials.outcome(found, (), 10)
    assert said == "trials=auto stopped at 3 trials: another would change neither a verdict nor the recommendation"


def test_what_is_open_is_asked_again_beside_its_baseline_and_nothing_else() -> None:
    found = sweep(w1=BASE, w2=SLOWED, w3=(8.0, 8.1, 7.9))
    (one,) = asked(found)
    assert (one.key, one.beside) == ("workers=2", ("workers=1",))
    assert "speedup: 99.5 % interval" in one.why
    assert trials.further(found, [one], 10) == [("workers=1", 4), ("workers=2", 4)]
    assert trials.further(found, [one], 3) == []
    assert "stopped at 3 trials by trials_max=3; still open: workers=2 (speedup" in trials.outcome(found, [one], 3)
    assert "stopped at 3 trials by report.budget_s=8; still open" in trials.outcome(found, [one], 10, 8.0)
    assert "stopped at 3 trials; still open" in trials.outcome(found, [one], 10)  # by Ctrl-C


def test_a_verdict_that_changes_nothing_of_what_is_recommended_is_not_pursued() -> None:
    """Three workers may pass or not, and are surely no faster than two that do; then they may be faster."""
    found = sweep(w1=BASE, w2=CLEAR, w3=(6.3, 6.5, 7.2))
    assert [c.verdict for c in found] == ["BASELINE", "FEASIBLE", "INCONCLUSIVE"]
    assert asked(found) == ()
    choices = recommend.choices(found, {c.key: values.config(workers=c.workers) for c in found}, TOLERANCE)
    left = trials.unpursued(found, choices)
    assert left == ["workers=3"]
    said = trials.outcome(found, (), 10, left=left)
    assert said.endswith(
        "stopped at 3 trials: another would not change what is recommended; the verdict of workers=3 is open and would "
        "change nothing of it"
    )
    assert settle.settle(found, 3, False, TrialsAsked(asked="auto", max=3, unpursued=tuple(left))) is None
    found = sweep(w1=BASE, w2=CLEAR, w3=(4.2, 5.1, 4.6))
    assert "workers=3" in [one.key for one in asked(found)]


def test_a_spread_that_a_fixed_number_of_trials_decides_is_looked_at_again() -> None:
    """1.9x in trials that spread by 6 %: at 95 % three decide, at each of several looks they do not."""
    runs = [*values.trials(1, *BASE), *values.trials(2, 5.0, 5.3, 5.5)]
    assert values.gates(values.counted(*runs)[1])["speedup"].verdict == "PASS"
    gate = values.gates(looked(*runs)[1])["speedup"]
    assert (gate.verdict, gate.trials) == ("INCONCLUSIVE", 4)
    assert "trials_max=4 (1 more) would settle it" in (gate.reason or "")


def test_a_recommendation_that_another_trial_can_change() -> None:
    """Three workers are 4 % faster than two, give or take 3: by more than the tolerance, or not."""
    found = sweep(w1=BASE, w2=CLEAR, w3=(4.85, 4.80, 4.75))
    assert [c.verdict for c in found[1:]] == ["FEASIBLE", "FEASIBLE"]
    (one,) = asked(found)
    assert (one.key, one.beside) == ("workers=3", ("workers=2", "workers=1"))
    assert "workers=3 is 1.02 to 1.07 times as fast as workers=2" in one.why
    assert trials.further(found, [one], 10) == [("workers=1", 4), ("workers=2", 4), ("workers=3", 4)]


def test_a_smaller_one_is_compared_with_the_fastest_whose_speed_it_has_to_reach() -> None:
    """One worker may be within 5 % of three, or not; two, which are chosen meanwhile, are no measure of that."""
    one = values.trials(1, 10.54, 10.55, 10.53, mb=100.0)
    others = [*values.trials(2, 10.4, 10.41, 10.39, mb=150.0), *values.trials(3, 10.02, 9.93, 10.05, mb=200.0)]
    found = looked(*one, *others, limits={})
    configs = {c.key: values.config(workers=c.workers) for c in found}
    choice = recommend.choices(found, configs, TOLERANCE)["workers=1"]
    assert (choice.chosen.key, choice.fastest.key) == ("workers=2", "workers=3")
    (open_,) = [one for one in asked(found) if one.key == "workers=1"]
    assert "workers=3 is 1.0" in open_.why and "times as fast as workers=1" in open_.why
    assert set(open_.beside) == {"workers=2", "workers=3"} and open_.recommended


def test_an_slo_that_more_requests_may_decide_is_asked_for() -> None:
    found = sweep(w1=BASE)
    late = SloResult(
        name="stop_to_text_p95_s", metric="stop_to_text_p95_s", limit=1.0, allowed=0.05, verdict=Reading.INCONCLUSIVE,
        reason="3 of 60 requests exceeded it; more requests would settle it",
    )  # fmt: skip
    found[0] = msgspec.structs.replace(found[0], slo=(late,), verdict=Verdict.INCONCLUSIVE)
    (open_,) = asked(found)
    assert (open_.key, open_.why) == ("workers=1", "stop_to_text_p95_s: 3 of 60 requests exceeded it")
    chosen = recommend.recommend(found, TOLERANCE)
    assert chosen and chosen.open == (f"workers=1: stop_to_text_p95_s: {late.reason}",)
    assert gates.wants_trials(found[0])


def test_what_would_settle_it_counts_runs_as_trials_max_does() -> None:
    """Trial 2 of two workers was made four times."""
    again = [made_run(2, 6.7, trial=2, num=90 + n, disturbed=HOG) for n in range(3)]
    found = looked(*values.trials(1, *BASE), *values.trials(2, *SLOWED), *again)
    gate = values.gates(found[1])["speedup"]
    assert gate.more and gate.trials == 6 + gate.more and f"trials_max={gate.trials}" in (gate.reason or "")
    fixed = values.counted(*values.trials(1, *BASE), *values.trials(2, 6.2, 6.6, 6.3), *again)
    gate = values.gates(fixed[1])["speedup"]
    assert gate.more and gate.trials == 3 + gate.more


def test_a_pair_needs_runs_of_its_baseline_which_may_have_had_more() -> None:
    """Trial 2 of one worker was made four times, so trials_max has to leave room for what it still needs."""
    again = [made_run(1, 10.0, trial=2, num=90 + n, disturbed=HOG) for n in range(3)]
    gate = values.gates(looked(*values.trials(1, *BASE), *values.trials(2, *SLOWED), *again)[1])["speedup"]
    assert gate.more and gate.trials == 6 + gate.more


def test_why_it_stopped_tells_trials_that_count_from_runs_that_trials_max_counts() -> None:
    again = [made_run(2, 6.7, trial=2, num=90 + n, disturbed=HOG) for n in range(3)]
    found = looked(*values.trials(1, *BASE), *values.trials(2, *SLOWED), *again)
    said = trials.outcome(found, asked(found), 6)
    assert said.startswith("trials=auto stopped at 3 trials (6 runs) by trials_max=6; still open: workers=2 (speedup")


def test_one_that_is_too_short_does_not_hide_what_is_open_of_others() -> None:
    found = sweep(w1=BASE, w2=SLOWED)
    (one,) = asked(found)
    short = Reason(code="TOO_SHORT", reason="the load took 2 s")
    runs = (RunValidity(num=9, trial=1, valid=False, reasons=(short,)),)
    found.append(Configuration(key="workers=4", status="ok", trials=1, verdict="INVALID", validity=Validity(runs=runs)))
    assert "by report.budget_s=8; still open: workers=2 (speedup" in trials.outcome(found, [one], 10, 8.0)
    assert "runs are too short" in trials.outcome(found, [], 10)


def test_speeds_are_compared_within_the_trials_that_both_have() -> None:
    runs = [*values.trials(1, *BASE), *values.trials(2, *CLEAR), *values.trials(3, 4.85, 4.80, 4.75)]
    runs += [made_run(1, 10.0, trial=4), made_run(3, 4.8, trial=4)]
    found = looked(*runs)
    (one,) = asked(found)
    assert "workers=3 is 1.02 to 1.07" in one.why
    assert trials.further(found, [one], 10) == [("workers=1", 5), ("workers=2", 5), ("workers=3", 5)]


def test_a_width_is_a_question_when_it_is_asked_for() -> None:
    found = sweep(w1=BASE, w2=(5.0, 5.1, 5.0))
    assert asked(found, 0.05) == ()
    (one,) = asked(found, 0.01)
    assert (one.key, one.why[:30]) == ("workers=2", "speedup is known only to +-1.4")


def test_what_trials_cannot_change_is_not_asked() -> None:
    slow = sweep(w1=BASE, w2=(9.0, 9.1, 9.2))
    assert (slow[1].verdict, asked(slow)) == ("NOT_FEASIBLE", ())
    failed = looked(*values.trials(1, *BASE), made_run(2, None, figures=None, status="failed", error="no"))
    assert asked(failed) == ()
    alone = [made_run(1, None, figures=None, status="failed", error="no"), *values.trials(2, 5.0, 7.0, 6.0)]
    without = looked(*alone, limits={"throughput_rtfx": 16.0})
    assert (values.gates(without[1])["throughput_rtfx"].verdict, asked(without)) == ("INCONCLUSIVE", ())
    assert asked(sweep(w1=BASE)) == ()
    spoken = looked(*values.trials(1, *BASE, judged=_spoken()), limits={"wer": 0.1})
    assert (spoken[0].verdict, asked(spoken)) == ("INCONCLUSIVE", ())  # the same samples again


def _spoken() -> Any:
    from dataclasses import replace

    return replace(RIGHT, errors={f"s{n}": {"wer": (n % 3, 10)} for n in range(9)})


@pytest.mark.parametrize(
    ("most", "slower", "more"), [(10, 6.7, []), (3, 6.7, ["trials_max=10"]), (3, None, ["trials_max=6"])]
)
def test_what_goes_on_with_it_says_how_many_runs_that_may_take(
    most: int, slower: float | None, more: list[str]
) -> None:
    """The time was spent, or the trials; `slower`: a verdict is open, whose gate tells, and not the recommendation."""
    open_one = {"w2": (5.0, slower, 4.95)} if slower else {"w2": CLEAR, "w3": (4.85, 4.80, 4.75)}
    found = sweep(w1=BASE, **open_one)
    left = TrialsAsked(asked="auto", max=most, open=asked(found))
    said = settle.settle(found, 3, False, left)
    assert said == (more, "goes on until it is decided, for another report.budget_s at most")


def test_nothing_goes_on_where_nothing_is_open() -> None:
    assert settle.settle(sweep(w1=BASE, w2=CLEAR), 3, False, TrialsAsked(asked="auto", max=3)) is None


def test_too_few_pairs_are_waited_for() -> None:
    found = sweep(w1=BASE, w2=(5.0, 5.0))
    assert values.gates(found[1])["speedup"].reason == "2 pairs of trials decide nothing; trials_max=4 would settle it"
    (one,) = asked(found)
    assert trials.further(found, [one], 10) == [("workers=1", 4), ("workers=2", 4)]


def test_a_sweep_that_was_disturbed_to_its_end_says_so() -> None:
    found = looked(*values.trials(1, *BASE), *values.trials(2, *CLEAR, disturbed=HOG))
    assert (found[1].verdict, asked(found)) == ("INVALID", ())
    assert trials.outcome(found, (), 10).endswith("stopped at 3 trials; still open: workers=2 (INVALID)")


def test_a_trial_is_repeated_until_it_was_valid_or_there_were_enough() -> None:
    runs = tuple(RunValidity(num=n, trial=n, valid=n != 2) for n in (1, 2, 3))
    one = Configuration(key="workers=2", status="ok", trials=2, verdict="FEASIBLE", validity=Validity(runs=runs))
    assert trials.repeats([one], 10) == [("workers=2", 2)]
    assert trials.repeats([one], 3) == []
    runs = (*runs, RunValidity(num=9, trial=2, valid=True))
    assert trials.repeats([msgspec.structs.replace(one, validity=Validity(runs=runs))], 10) == []


def test_a_failure_that_cannot_change_ends_the_trials() -> None:
    unusable = (Reason(code="SETTINGS", reason="the client ended with code 2"),)
    found = sweep(w1=BASE, w2=SLOWED)
    (one,) = asked(found)
    runs = (*found[1].validity.runs, RunValidity(num=99, trial=4, valid=False, reasons=unusable))
    failed = [found[0], msgspec.structs.replace(found[1], validity=Validity(valid=3, invalid=1, runs=runs))]
    assert trials.further(found, [one], 10)
    assert (trials.repeats(failed, 10), trials.further(failed, [one], 10)) == ([], [])
    assert ", as the settings of workers=2 cannot be used; still open: workers=2 (" in trials.outcome(failed, [one], 10)


@pytest.mark.parametrize("looks", [False, True])
def test_intervals_after_further_looks_are_wider(looks: bool) -> None:
    runs = [*values.trials(1, *BASE, 10.0), *values.trials(2, 5.0, 5.1, 5.0, 5.0)]
    found = looked(*runs) if looks else values.counted(*runs)
    speedup = found[1].metric("speedup")
    low, high = speedup.ci95 or (0.0, 0.0)
    fixed = values.counted(*runs)[1].metric("speedup").ci95 or (0.0, 0.0)
    assert (high - low > fixed[1] - fixed[0]) == looks
    assert (speedup.decides is not None) == looks
    if speedup.decides:
        assert speedup.decides[0] < low and high < speedup.decides[1]


def test_a_percentile_waits_for_the_requests_that_decide_it() -> None:
    """The 95th percentile of 140 requests has a 95 % interval, and none of 99.5 %."""
    waits = values.durations(latency_s=[n / 100 for n in range(70)])
    runs = [made_run(1, 10.0, trial=n, figures=values.figures(10.0, durations=waits)) for n in (1, 2)]
    (few,) = looked(*runs, limits={"latency_p95_s": 5.0})
    gate = values.gates(few)["latency_p95_s"]
    assert (gate.verdict, gate.reason) == (
        "INCONCLUSIVE", "too few requests for a 99.5 % interval; more of them would settle it",
    )  # fmt: skip
    (one,) = asked([few])
    assert trials.further([few], [one], 10) == [("workers=1", 3)]
    assert values.gates(values.counted(*runs, limits={"latency_p95_s": 5.0})[0])["latency_p95_s"].verdict == "PASS"
    third = made_run(1, 10.0, trial=3, figures=values.figures(10.0, durations=waits))
    (enough,) = looked(*runs, third, limits={"latency_p95_s": 5.0})
    assert values.gates(enough)["latency_p95_s"].verdict == "PASS"
